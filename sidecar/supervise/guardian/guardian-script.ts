/**
 * What the guardian runs, for any POSIX shell (dash, bash, BusyBox). Arguments: the beginning that the owner marks of all children of
 * this process share, how long a process may take to end after SIGTERM, in tenths of a second, and `PID:START` of each child that
 * runs already: an owner that is killed as soon as this has begun could not have written them.
 *
 * Lines on standard input: `+ PID START` when a child has started (it leads a process group), `- PID MARK` when it has ended. The end
 * of the input is the end of the owner, for whom nobody else holds the other end.
 *
 * Process ids are used again. A process is signalled only if its start time is the one that was read together with its mark, and a
 * group only if its leader is gone or is still the one that was started: a group keeps its number from being used again.
 * `tr` makes a line of each variable of an environment, so that a mark within the value of another variable is none.
 */
export const GUARDIAN_SCRIPT = `
trap '' HUP INT QUIT TERM
set -f
stem=$1
patience=$2
shift 2
groups=$*
start_of() {
  text= start=
  while read -r line || [ -n "$line" ]; do text="$text $line"; done 2>/dev/null <"/proc/$1/stat" || return 1
  set -- \${text##*) }
  [ $# -ge 20 ] && [ "$1" != Z ] || return 1
  shift 19
  start=$1
}
is_ours() {
  while read -r name real effective rest; do
    [ "$name" != Uid: ] || { [ "$real" = "$uid" ] && [ "$effective" = "$uid" ]; return; }
  done 2>/dev/null <"/proc/$1/status"
  return 1
}
find_marked() {
  found=
  set +f
  if [ "$sees_all" = yes ]; then files=$(grep -lF -- "OUTRIDER_OWNER=$1" /proc/[0-9]*/environ 2>/dev/null)
  else files=$(echo /proc/[0-9]*/environ); fi
  set -f
  for file in $files; do
    pid=\${file#/proc/}
    pid=\${pid%/environ}
    [ "$pid" != $$ ] && start_of "$pid" || continue
    first=$start
    is_ours "$pid" || continue
    tr '\\000\\012' '\\012\\001' 2>/dev/null <"$file" | grep -qx -- "OUTRIDER_OWNER=$1$2" || continue
    found="$found $pid:$first"
  done
}
signal_found() {
  for each in $found; do
    start_of "\${each%:*}" && [ "$start" = "\${each#*:}" ] && kill "-$1" "\${each%:*}" 2>/dev/null
  done
}
signal_groups() {
  some=1
  for each in $groups; do
    if start_of "\${each%:*}" && [ "\${each#*:}" != 0 ] && [ "$start" != "\${each#*:}" ]; then continue; fi
    kill "-$1" "-\${each%:*}" 2>/dev/null && some=0
  done
  return $some
}
kill_marked() {
  round=0
  while [ $round -lt 20 ]; do
    find_marked "$1" "$2"
    [ -n "$found" ] || break
    signal_found KILL
    round=$((round + 1))
    sleep 0.1 2>/dev/null || sleep 1
  done
}
uid=$(id -u)
sees_all=
[ "$(printf 'a\\000b=c\\000' | grep -cF b=c 2>/dev/null)" = 1 ] && sees_all=yes
while read -r what pid more; do
  case $what in
    +) groups="$groups $pid:$more" ;;
    -)
      left=
      for each in $groups; do [ "\${each%:*}" = "$pid" ] || left="$left $each"; done
      groups=$left
      kill_marked "$more" ''
      ;;
  esac
done
find_marked "$stem" '[0-9a-f]*'
signal_groups TERM
signal_found TERM
signal_groups CONT
signal_found CONT
tenths=0
while [ $tenths -lt "$patience" ]; do
  alive=
  for each in $found; do start_of "\${each%:*}" && [ "$start" = "\${each#*:}" ] && alive=yes; done
  signal_groups 0 && alive=yes
  [ -n "$alive" ] || break
  if sleep 0.1 2>/dev/null; then tenths=$((tenths + 1)); else sleep 1; tenths=$((tenths + 10)); fi
done
signal_groups KILL
kill_marked "$stem" '[0-9a-f]*'
`;
