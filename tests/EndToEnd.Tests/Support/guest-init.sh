#!/bin/busybox sh
# The guest's only program. It takes its orders on the second serial line, one a line: NUMBER COMMAND. It answers with
# "@begin NUMBER", what the command printed, "@end NUMBER EXITCODE". The first serial line is the kernel's console.
export PATH=/bin
/bin/busybox --install -s /bin 2>/dev/null
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
for module in $(cat /lib/modules/order); do
  insmod "/lib/modules/$module"
done
ip link set lo up
exec </dev/ttyS1 >/dev/ttyS1 2>&1
stty -echo -onlcr
echo "@ready"
while read -r number command; do
  echo "@begin $number"
  sh -c "$command" </dev/null 2>&1
  printf '\n@end %s %s\n' "$number" "$?"
done
poweroff -f
