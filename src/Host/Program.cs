Console.WriteLine("ringmaster");
