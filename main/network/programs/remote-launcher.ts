/**
 * The fixed shell scripts that start a program at the other end of an SSH connection. Nothing is ever pasted into them: the
 * program and its arguments are positional parameters.
 *
 * The launcher's parameters: seconds until the program is ended, bytes of standard input that are the program's, the
 * supervisor's script, program, arguments. The first line that it prints, on both streams, is a marker: what a login script
 * or sudo says comes before it.
 */
export const launcherScript = `PATH=$PATH:/usr/sbin:/sbin LC_ALL=C
export PATH LC_ALL
seconds=$1 size=$2 supervisor=$3
shift 3
echo landfall:begin
echo landfall:begin >&2
command -v "$1" >/dev/null 2>&1 || { echo landfall:missing >&2; exit 127; }
if timeout -k 1 9 true 2>/dev/null; then
  exec timeout -k 1 "$seconds" sh -c "$supervisor" landfall "$size" timeout "$@"
fi
exec sh -c "$supervisor" landfall "$size" '' "$@"`

/**
 * Runs the program to its end. Where it has no input, the open standard input is a lifeline: when it ends, because the client
 * gave up or the connection died, the whole process group is ended, also when it is root's, which the SSH server may not
 * signal. The group is that of `timeout`, which also kills what does not listen.
 *
 * Parameters: bytes of the program's standard input, whether \`timeout\` is there, program, arguments.
 */
export const supervisorScript = `size=$1 limit=$2
shift 2
if test "$size" -gt 0; then
  head -c "$size" | "$@"
  exit
fi
exec 3<&0 4>&2 2>/dev/null
trap 'kill -TERM $program' TERM
"$@" </dev/null 2>&4 3<&- 4>&- &
program=$!
exec 4>&-
{
  trap : TERM
  while read -r _; do :; done <&3
  kill -TERM 0
  test -n "$limit" || { sleep 1; kill -KILL 0; }
} >/dev/null &
lifeline=$!
exec 3<&-
while :; do
  wait $program
  code=$?
  kill -0 $program || break
done
kill -KILL $lifeline
exit $code`

/** Stands alone on the first line that belongs to the program, on both streams. */
export const beginMarker = 'landfall:begin\n'
/** All that is on standard error when there is no such program. */
export const missingMarker = 'landfall:missing\n'

/** One word for a POSIX shell: arrives byte for byte. */
export function quoteWord(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`
}

/**
 * A command line that every login shell hands on unharmed to `sh`: POSIX shells, csh and tcsh, fish. They differ in what they
 * do with a new line, `!`, `\` and `'` between single quotes, and in how a variable is set for one command; so nothing of it
 * is in the line. Every other character is written as `printf` reads it (POSIX, `%b`: `\0` and three octal digits).
 *
 * `command`: for a POSIX shell, whose place it takes.
 */
export function anyShellLine(command: string): string {
  const words = pieces(`${anyShellPrelude}${command}`).map((piece) => `'${piece}'`)
  return `sh -c '${anyShellScript}' sh ${words.join(' ')}`
}

/** Reads its parameters by `printf` as one script, and becomes that. */
export const anyShellScript = 'eval "$(printf %b "$@")"'
/** What sudo says must be readable, too. */
export const anyShellPrelude = 'LC_ALL=C; export LC_ALL; exec '

/** csh refuses words of more than about a thousand characters ("Word too long"). */
const longestPiece = 900

function pieces(text: string): string[] {
  const found: string[] = []
  let piece = ''
  for (const byte of Buffer.from(text)) {
    const character = String.fromCharCode(byte)
    const written = /[A-Za-z0-9 _./:=,@%+-]/.test(character)
      ? character
      : `\\0${byte.toString(8).padStart(3, '0')}`
    if (piece.length + written.length > longestPiece) {
      found.push(piece)
      piece = ''
    }
    piece += written
  }
  return [...found, piece]
}
