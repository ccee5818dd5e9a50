import type { ProgramResult, ProgramRunner, RunOptions } from './program-runner.ts'

/**
 * Runs commands side by side and prints for each of them: what it wrote, each line marked with the command's number and
 * its stream; its exit code; and a line that says that this was all. Parameters: for each command the number of its words,
 * then the words. What is evaluated are positions of parameters, never their text.
 *
 * The lines of several commands may mix, because a shell writes line by line; a line is never torn, because it is shorter
 * than what a pipe takes at once. A new line follows all that a command wrote, so that each line ends.
 */
export const batchScript = `trap 'trap - TERM; kill -TERM 0' TERM
one() {
  id=$1
  shift
  if command -v "$1" >/dev/null 2>&1; then
    text=$({ { { "$@" </dev/null; echo "\${id}x$?" >&5; echo; echo >&2; } 2>&1 >&6 | sed "s/^/\${id}e/" >&5; } 6>&1 |
      sed "s/^/\${id}o/" >&5; } 5>&1)
  else
    text="\${id}m"
  fi
  test "\${#text}" -le 3500 || text="\${id}l"
  printf '%s\\n%s.\\n' "$text" "$id"
}
id=0 at=1
while test "$at" -le $#; do
  eval "count=\\\${$at}"
  words= end=$((at + count))
  while test "$at" -lt "$end"; do
    at=$((at + 1))
    words="$words \\"\\\${$at}\\""
  done
  at=$((at + 1)) id=$((id + 1))
  eval "one $id $words &"
done
wait`

interface Waiting {
  readonly program: string
  readonly args: readonly string[]
  readonly options: RunOptions
  readonly resolve: (result: ProgramResult) => void
  readonly reject: (reason: unknown) => void
}

/** Real time, for starting all of them. */
const graceSeconds = 3
const maxOutputBytesEach = 8 * 1024

/**
 * Lets a remote place run many programs with one command: what is asked for at the same moment runs at the same time,
 * whatever number of sessions the place allows. For programs that write little (3 kB); one that writes more is `killed`
 * with reason `output`. Those of one batch end together when their signal is aborted.
 */
export function createBatchRunner(runner: ProgramRunner, mostInBatch = 64): ProgramRunner {
  let waiting: Waiting[] = []
  const flush = () => {
    const all = Map.groupBy(waiting, ({ options }) => options.signal)
    waiting = []
    for (const ofSignal of all.values()) {
      const alike = Map.groupBy(
        ofSignal,
        ({ options }) => `${options.deadlineSeconds} ${String(options.asRoot)}`,
      )
      for (const group of alike.values()) {
        for (let first = 0; first < group.length; first += mostInBatch) {
          void runBatch(runner, group.slice(first, first + mostInBatch))
        }
      }
    }
  }
  return {
    place: runner.place,
    platform: runner.platform,
    run: (program, args, options) => {
      if (options.input !== undefined) return runner.run(program, args, options)
      return new Promise((resolve, reject) => {
        if (waiting.length === 0) setImmediate(flush)
        waiting.push({ program, args, options, resolve, reject })
      })
    },
  }
}

async function runBatch(runner: ProgramRunner, batch: readonly Waiting[]): Promise<void> {
  const [first] = batch
  if (first === undefined) return
  try {
    if (batch.length === 1) {
      first.resolve(await runner.run(first.program, first.args, first.options))
      return
    }
    const words = batch.flatMap(({ program, args }) => [String(args.length + 1), program, ...args])
    const result = await runner.run('sh', ['-c', batchScript, 'landfall', ...words], {
      ...first.options,
      deadlineSeconds: first.options.deadlineSeconds + graceSeconds,
      maxOutputBytes: batch.length * maxOutputBytesEach,
    })
    for (const [index, { resolve }] of batch.entries()) resolve(resultOf(result, index + 1))
  } catch (error) {
    for (const { reject } of batch) reject(error)
  }
}

const nothing = { stdout: '', stderr: '' }

function resultOf(result: ProgramResult, id: number): ProgramResult {
  if (result.kind === 'missing' || result.kind === 'not-permitted') return result
  const lines = linesOf(result.stdout, id)
  if (!lines.includes('.')) {
    return { kind: 'killed', reason: result.kind === 'killed' ? result.reason : 'output', ...nothing }
  }
  if (lines.includes('m')) return { kind: 'missing' }
  const code = lines.find((line) => line.startsWith('x'))
  // Too much to be shown; or a block that is not whole.
  if (code === undefined) return { kind: 'killed', reason: 'output', ...nothing }
  const exitCode = Number(code.slice(1))
  return {
    kind: 'ended',
    // As the runner over SSH: a shell shows a signal as a number above 128.
    exitCode: exitCode > 128 && exitCode < 160 ? null : exitCode,
    stdout: streamOf(lines, 'o'),
    stderr: streamOf(lines, 'e'),
  }
}

function linesOf(text: string, id: number): string[] {
  const mark = String(id)
  return text
    .split('\n')
    .filter((line) => line.startsWith(mark) && !/^\d/.test(line.slice(mark.length)))
    .map((line) => line.slice(mark.length))
}

/** What was written, to the byte: the new line that the script added ends the last of these lines. */
function streamOf(lines: readonly string[], mark: 'o' | 'e'): string {
  return lines
    .filter((line) => line.startsWith(mark))
    .map((line) => line.slice(1))
    .join('\n')
}
