/**
 * The fixed shell script that starts a program at the other end of an SSH connection. Nothing is ever pasted into it: the
 * program and its arguments are positional parameters.
 *
 * Parameters: seconds until the program is ended, bytes of standard input that are the program's, program, arguments.
 *
 * - The first line that it prints, on both streams, is a marker: what a login script or sudo says comes before it.
 * - Without input for the program, the open standard input is a lifeline: when it ends, because the client gave up or
 *   the connection died, the program is ended as well, also one of root's that the SSH server may not signal.
 * - `timeout --foreground` keeps the program in the session's process group, where the server's KILL reaches it.
 */
export const launcherScript = `PATH=$PATH:/usr/sbin:/sbin LC_ALL=C
export PATH LC_ALL
seconds=$1 size=$2
shift 2
echo landfall:begin
echo landfall:begin >&2
command -v "$1" >/dev/null 2>&1 || { echo landfall:missing >&2; exit 127; }
if timeout --foreground -k 1 9 true 2>/dev/null; then set -- timeout --foreground -k 1 "$seconds" "$@"
elif timeout -k 1 9 true 2>/dev/null; then set -- timeout -k 1 "$seconds" "$@"
fi
if [ "$size" -gt 0 ]; then
  head -c "$size" | "$@"
  exit
fi
exec 3<&0 4>&2 2>/dev/null
"$@" </dev/null 2>&4 3<&- 4>&- &
program=$!
exec 4>&-
{
  while read -r _; do :; done <&3
  kill -TERM $program && sleep 2 && kill -KILL $program
} >/dev/null &
lifeline=$!
exec 3<&-
wait $program
code=$?
kill $lifeline
exit $code`

/** Stands alone on the first line that belongs to the program, on both streams. */
export const beginMarker = 'landfall:begin\n'
/** All that is on standard error when there is no such program. */
export const missingMarker = 'landfall:missing\n'

/** One word for a POSIX shell: arrives byte for byte. */
export function quoteWord(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`
}
