using System.Globalization;
using OxyPlot;
using OxyPlot.Annotations;
using OxyPlot.Axes;
using OxyPlot.Series;
using Ringmaster.Bench.Compare.Contenders;
using Ringmaster.Bench.Compare.Measuring;

namespace Ringmaster.Bench.Compare.Report;

/// <summary>
/// The plot: for each direction and frame size, how close everyone comes to the bare io_uring loop (medians as dots, all rounds
/// within the line), and below that the round trips.
/// </summary>
internal sealed class PlotReport
{
    private const double Width = 1000;
    private const double TitleHeight = 74;
    private const double PanelHeight = 150;
    private const double EchoHeight = 210;
    private const double FooterHeight = 34;
    private const double LabelWidth = 175;
    private const double LabelGap = 8;
    private const double Left = 24;
    private const double DotSize = 5;
    private const double Normal = 400;
    private const double Bold = 700;
    private const string Font = "Arial";

    private static readonly OxyColor Ink = OxyColor.FromRgb(0x22, 0x2b, 0x38);
    private static readonly OxyColor Faint = OxyColor.FromRgb(0xe3, 0xe7, 0xec);
    private static readonly OxyColor Middle = OxyColor.FromRgb(0x8a, 0x94, 0xa2);

    private readonly ResultFile _file;
    private readonly Results _results;

    private PlotReport(ResultFile file)
    {
        _file = file;
        _results = new Results(file.Samples);
    }

    internal static void Write(ResultFile file, string path)
    {
        using FileStream stream = File.Create(path);
        new PlotReport(file).Draw(stream);
    }

    private void Draw(Stream stream)
    {
        double height = TitleHeight + (3 * PanelHeight) + EchoHeight + FooterHeight;
        using var canvas = new SvgRenderContext(
            stream, Width, height, isDocument: true, new PdfRenderContext(Width, height, OxyColors.White), OxyColors.White,
            useVerticalTextAlignmentWorkaround: true);
        OxyRect whole = new(0, 0, Width, height);
        canvas.DrawRectangle(whole, OxyColors.White, OxyColors.Undefined, 0, EdgeRenderingMode.Automatic);
        DrawTitle(canvas);
        foreach (Workload work in Workload.All)
        {
            bool toGuest = work.Direction == Direction.TapToGuest;
            int row = work.Gso ? 2 : work.FrameSize == 64 ? 0 : 1;
            Render(canvas, RatioPanel(work), toGuest ? Width / 2 : 0, TitleHeight + (row * PanelHeight), Width / 2, PanelHeight);
        }

        Render(canvas, EchoPanel(), 0, TitleHeight + (3 * PanelHeight), Width, EchoHeight);
        canvas.Complete();
        canvas.Flush();
    }

    private void DrawTitle(SvgRenderContext canvas)
    {
        Machine machine = _file.Machine;
        Write(canvas, 14, "How close to the bare TAP?", Ink, 20, Bold);
        Write(
            canvas,
            44,
            "Speed as a share of a bare io_uring loop on the same TAP: by rate from the guest, by CPU time to the guest. "
            + "Dots are medians, lines reach from the worst to the best round.",
            Middle,
            11,
            Normal);
        Write(
            canvas,
            TitleHeight + (3 * PanelHeight) + EchoHeight + 8,
            string.Create(
                CultureInfo.InvariantCulture,
                $"{machine.Date}, {machine.Cpu}, {machine.Cores} cores, Linux {machine.Kernel}, {machine.Runtime}, "
                + $"{_file.Rounds} rounds"),
            Middle,
            10,
            Normal);
    }

    private static void Write(SvgRenderContext canvas, double top, string text, OxyColor color, double size, double weight) =>
        canvas.DrawText(
            new ScreenPoint(Left, top), text, color, Font, size, weight, 0, HorizontalAlignment.Left, VerticalAlignment.Top,
            maxSize: null);

    private static void Render(IRenderContext canvas, PlotModel model, double left, double top, double width, double height)
    {
        ((IPlotModel)model).Update(updateData: true);
        ((IPlotModel)model).Render(canvas, new OxyRect(left, top, width, height));
    }

    private PlotModel RatioPanel(Workload work)
    {
        bool toGuest = work.Direction == Direction.TapToGuest;
        string driver = work.Gso || toGuest ? DriveGuest.DriverName : TestpmdGuest.DriverName;
        string bare = Ceiling.NameOf(Contender.IoUring);
        string size = work.Gso ? "64 KiB GSO" : $"{work.FrameSize} B";
        string[] contenders = [.. _results.Contenders(driver, work.Id).Where(name => name != bare && !Ceiling.IsC(name))];
        PlotModel model = Panel($"{(toGuest ? "TAP to guest" : "Guest to TAP")}, {size}", contenders);
        model.Axes.Add(ValueAxis(0, 1.25, value => value.ToString("0.0#", CultureInfo.InvariantCulture), step: 0.25));
        model.Annotations.Add(new LineAnnotation
        {
            Type = LineAnnotationType.Vertical,
            X = 1,
            Color = Ink,
            LineStyle = LineStyle.Solid,
            StrokeThickness = 1.2,
        });
        for (int row = 0; row < contenders.Length; row++)
        {
            Spread? ratio = toGuest
                ? _results.CpuRatio(driver, work.Id, contenders[row], bare)
                : _results.RateRatio(driver, work.Id, contenders[row], bare);
            AddDot(model, ratio, row, ColorOf(contenders[row]), "0.00");
        }

        return model;
    }

    private PlotModel EchoPanel()
    {
        string[] contenders = [.. _results.Contenders(DriveGuest.DriverName, Comparison.EchoWork)];
        PlotModel model = Panel("Round trip of one frame, microseconds: p50 (full) and p99 (hollow)", contenders);
        double most = 1;
        for (int row = 0; row < contenders.Length; row++)
        {
            Spread? p50 = Echo(contenders[row], sample => sample.P50);
            Spread? p99 = Echo(contenders[row], sample => sample.P99);
            most = Math.Max(most, p99?.Median ?? 0);
            AddDot(model, p99?.MedianAlone, row, ColorOf(contenders[row]), "0.0", hollow: true);
            AddDot(model, p50?.MedianAlone, row, ColorOf(contenders[row]), "0.0", labelBefore: true);
        }

        model.Axes.Add(ValueAxis(0, most * 1.15, value => value.ToString("0", CultureInfo.InvariantCulture), double.NaN));
        return model;
    }

    private Spread? Echo(string contender, Func<Sample, double?> number) =>
        _results.Get(DriveGuest.DriverName, Comparison.EchoWork, contender, sample => number(sample) ?? double.NaN);

    private static PlotModel Panel(string title, string[] rows)
    {
        var model = new PlotModel
        {
            Title = title,
            TitleFontSize = 12,
            TitleFontWeight = Bold,
            TitleColor = Ink,
            TitleHorizontalAlignment = TitleHorizontalAlignment.CenteredWithinPlotArea,
            DefaultFont = Font,
            TextColor = Ink,
            PlotAreaBorderThickness = new OxyThickness(0),
            PlotMargins = new OxyThickness(LabelWidth, double.NaN, 24, double.NaN),
            Padding = new OxyThickness(8, 4, 8, 4),
        };
        model.Axes.Add(new LinearAxis
        {
            Position = AxisPosition.Left,
            StartPosition = 1,
            EndPosition = 0,
            Minimum = -0.6,
            Maximum = Math.Max(rows.Length, 1) - 0.4,
            MajorStep = 1,
            MinorTickSize = 0,
            MajorTickSize = 0,
            FontSize = 11,
            LabelFormatter = value => value >= 0 && value < rows.Length ? rows[(int)Math.Round(value)] : "",
        });
        return model;
    }

    private static LinearAxis ValueAxis(double least, double most, Func<double, string> label, double step) => new()
    {
        Position = AxisPosition.Bottom,
        Minimum = least,
        Maximum = most,
        MajorStep = step,
        MinorTickSize = 0,
        MajorTickSize = 0,
        MajorGridlineStyle = LineStyle.Solid,
        MajorGridlineColor = Faint,
        TextColor = Middle,
        FontSize = 10,
        LabelFormatter = label,
    };

    private static void AddDot(
        PlotModel model,
        Spread? spread,
        int row,
        OxyColor color,
        string format,
        bool hollow = false,
        bool labelBefore = false)
    {
        if (spread is not { } value)
        {
            return;
        }

        var range = new LineSeries { Color = color, StrokeThickness = 2 };
        range.Points.Add(new DataPoint(value.Min, row));
        range.Points.Add(new DataPoint(value.Max, row));
        model.Series.Add(range);
        var dot = new ScatterSeries
        {
            MarkerType = MarkerType.Circle,
            MarkerSize = DotSize,
            MarkerFill = hollow ? OxyColors.White : color,
            MarkerStroke = color,
            MarkerStrokeThickness = 1.5,
        };
        dot.Points.Add(new ScatterPoint(value.Median, row));
        model.Series.Add(dot);
        model.Annotations.Add(new TextAnnotation
        {
            Text = value.Median.ToString(format, CultureInfo.InvariantCulture),
            TextPosition = new DataPoint(value.Max, row),
            Offset = new ScreenVector(labelBefore ? -LabelGap : LabelGap, 0),
            TextHorizontalAlignment = labelBefore ? HorizontalAlignment.Right : HorizontalAlignment.Left,
            TextVerticalAlignment = VerticalAlignment.Middle,
            TextColor = Ink,
            FontSize = 10,
            Stroke = OxyColors.Transparent,
            StrokeThickness = 0,
            ClipByXAxis = false,
            ClipByYAxis = false,
        });
    }

    private static OxyColor ColorOf(string contender)
    {
        bool Is(string engine) => contender.StartsWith(Contender.NameOf(engine), StringComparison.Ordinal);
        return contender switch
        {
            _ when Is(Contender.IoUring) => OxyColor.FromRgb(0x0b, 0x6e, 0x99),
            _ when Is(Contender.Syscall) => OxyColor.FromRgb(0x4c, 0xa8, 0xc9),
            Contender.DpdkName => OxyColor.FromRgb(0xd1, 0x6d, 0x2e),
            _ when contender.Contains("loop", StringComparison.Ordinal) => Middle,
            _ => OxyColor.FromRgb(0x7a, 0x5c, 0xa8),
        };
    }
}
