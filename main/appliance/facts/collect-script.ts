import { sectionNames, sections } from './sections.ts'

/**
 * The script that asks a node for everything at once. POSIX shell (dash, BusyBox ash, bash, mksh), nothing is written to the
 * node, and no program can lose the answers of the others:
 *
 * - Every program has a time limit, where the node has `timeout`. One that does not even end when it is killed (a dead
 *   disk, a dead file server) is left behind: only `cat`, which stands between it and the report, is waited for.
 * - Lines that begin with `mark` divide the output. It is new for every call, so that no greeting, motd or output can be
 *   taken for one.
 * - The whole is one compound command: the shell has read all of it before the first program runs, also when it comes by
 *   standard input.
 *
 * Frames, each a line after a line feed of its own: `start`, `begin NAME UPTIME`, `part KIND NAME`, `missing PROGRAM`,
 * `said` (standard error follows), `status EXIT-CODE`, `done`, `guard STATUS` (of `cat`), `end NAME UPTIME`, `skipped NAME`, `complete`.
 *
 * @param mark letters, digits and `-` only
 * @param budgetSeconds real time; sections that would begin later are skipped
 * @param mostSeconds upper bound for the time limits of the sections
 */
export function collectScript(mark: string, budgetSeconds: number, mostSeconds = Infinity): string {
  if (!/^[A-Za-z0-9-]{8,64}$/u.test(mark))
    throw new TypeError('The mark must be a word of letters and digits.')
  const parts = [`{\nmark=${mark}\nbudget=${Math.max(1, Math.floor(budgetSeconds))}`, prelude]
  for (const [index, name] of sectionNames.entries()) {
    const { program = '', seconds, bytes, body } = sections[name]
    parts.push(
      `section_${index}() {\n${body}\n}`,
      `section section_${index} ${name} ${Math.min(seconds, mostSeconds)} ${bytes} ${program === '' ? "''" : program}`,
    )
  }
  parts.push('printf \'\\n%s complete\\n\' "$mark"\nexit 0\n}\n')
  return parts.join('\n')
}

/** The mark of a script that `collectScript` made; `undefined` for any other text. For a node that has no shell. */
export function markOfScript(script: string): string | undefined {
  return /^\{\nmark=([A-Za-z0-9-]{8,64})\n/u.exec(script)?.[1]
}

const prelude = `LC_ALL=C
PATH=$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export LC_ALL PATH
unset IFS
umask 077
set +e +u +f

if timeout -k 1 9 true </dev/null >/dev/null 2>&1; then limited() { timeout -k 1 "$@"; }
elif timeout 9 true </dev/null >/dev/null 2>&1; then limited() { timeout "$@"; }
else limited() { shift; "$@"; }
fi
if test "$(printf ab | head -c 1 2>/dev/null)" = a; then cut_at() { head -c "$1"; }
else cut_at() { cat; }
fi

within() {
  case $1 in
    [0-9]*) limited "$@" ;;
    *) limited "$seconds" "$@" ;;
  esac
}
refused() { case $1 in 0|124|137|143) return 1 ;; esac; }
part() { printf '\\n%s part %s %s\\n' "$mark" "$1" "$2"; }
file() {
  for path in "$@"; do
    if ! test -e "$path"; then part absent "$path"
    elif ! test -r "$path"; then part denied "$path"
    else
      part file "$path"
      while IFS= read -r line || test -n "$line"; do printf '%s\\n' "$line"; done <"$path"
    fi
  done
}
values() {
  folder=$1
  shift
  for value in "$@"; do
    text=
    read -r text <"$folder/$value" && printf '%s=%s\\n' "$value" "$text"
  done 2>/dev/null
}
uptime() {
  now=0
  read -r now _ </proc/uptime
} 2>/dev/null
report() {
  exec 3>&1
  said=$(
    {
      { "$1" </dev/null >&3 2>&4 3>&- 4>&- 5>&-; printf '\\n%s status %s\\n' "$mark" "$?" >&5; } 4>&1 |
        {
          count=0
          while IFS= read -r line || test -n "$line"; do
            test $count -ge 5 || printf '%.300s\\n' "$line"
            count=$((count + 1))
          done
        }
    } 5>&1
  )
  printf '\\n%s said\\n%s\\n\\n%s done\\n' "$mark" "$said" "$mark"
}
section() {
  seconds=$3
  uptime
  left=$((budget + started - \${now%%.*}))
  if test "$left" -lt 1; then
    printf '\\n%s skipped %s\\n' "$mark" "$2"
    return
  fi
  test "$seconds" -le "$left" || seconds=$left
  printf '\\n%s begin %s %s\\n' "$mark" "$2" "$now"
  if test -n "$5" && ! command -v "$5" >/dev/null 2>&1; then
    printf '\\n%s missing %s\\n' "$mark" "$5"
  else
    # exec: a redirection of another kind keeps a copy of the old stream, and what is left behind would hold it open.
    ( exec </dev/null 2>/dev/null; report "$1" & ) |
      ( exec 2>/dev/null; limited $((seconds + 2)) cat; printf '\\n%s guard %s\\n' "$mark" "$?" ) |
      cut_at "$4"
  fi
  uptime
  printf '\\n%s end %s %s\\n' "$mark" "$2" "$now"
}
uptime
started=\${now%%.*}
printf '\\n%s start\\n' "$mark"
`
