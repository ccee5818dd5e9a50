import { randomBytes } from 'node:crypto'
import { AppError, type AppErrorData } from '../../../shared/errors/index.ts'
import type { Clock } from '../../engine/clock.ts'
import { printableStart } from '../../network/printable.ts'
import type { ProgramResult, ProgramRunner } from '../../network/programs/program-runner.ts'
import { collectScript } from './collect-script.ts'
import { factsOfReport } from './facts-of-report.ts'
import type { HostFacts } from './node-facts.ts'
import { printableRaw } from './raw-output.ts'
import { readReport } from './report.ts'

export interface CollectOptions {
  readonly signal: AbortSignal
  /** Real time for the whole of it. The node itself stops asking a little earlier, and tells what it has until then. */
  readonly deadlineSeconds: number
  /** Without root, memory modules, contents and health of disks, SMBIOS ids and names of processes stay unread. */
  readonly asRoot: boolean
  readonly clock: Pick<Clock, 'now'>
  /** Divides the output; letters, digits and `-`. Default: a new random one for each call. */
  readonly mark?: string
}

export interface CollectedFacts {
  /** Of the runner. */
  readonly place: string
  readonly facts: HostFacts
  /** By the given clock; the node was asked between them. */
  readonly startedAt: number
  readonly endedAt: number
  readonly durationMs: number
  readonly privilege: Privilege
  readonly completeness: Completeness
  /** What the node printed, for the support bundle: one text, bounded, without control characters and without secrets. */
  readonly raw: string
}

export type Privilege =
  | { readonly kind: 'root' }
  /** `reason`: why not as root, if that was asked for. */
  | { readonly kind: 'account'; readonly reason: string | undefined }

export type Completeness =
  | { readonly kind: 'complete' }
  /** Facts until then are read, the others have this reason. */
  | { readonly kind: 'partial'; readonly reason: string }
  /** The node could not be asked. `error`: as the runner gave it. */
  | { readonly kind: 'none'; readonly reason: string; readonly error: AppErrorData | undefined }

const maxOutputBytes = 8 * 1024 * 1024
/** For the last section, the way back, and the runner's own work. */
const reserveSeconds = 5

/**
 * Asks a node for everything that checks decide upon, with one run of one program; a second one only when root was asked for
 * and cannot be had. Changes nothing on the node.
 *
 * Never rejects because of the node: what could not be read is `unread` with its reason. Rejects with the signal's
 * reason when it is aborted.
 */
export async function collectNodeFacts(
  runner: ProgramRunner,
  options: CollectOptions,
): Promise<CollectedFacts> {
  const { clock, deadlineSeconds, signal, asRoot } = options
  const mark = options.mark ?? `landfall-${randomBytes(12).toString('hex')}`
  const input = collectScript(mark, deadlineSeconds - reserveSeconds)
  const ask = (isRoot: boolean) =>
    runner.run('sh', ['-s'], { signal, deadlineSeconds, input, maxOutputBytes, asRoot: isRoot })

  let privilege: Privilege = asRoot ? { kind: 'root' } : { kind: 'account', reason: undefined }
  let startedAt = clock.now()
  let answer: Answer
  try {
    let result = await ask(asRoot)
    if (asRoot && result.kind === 'not-permitted') {
      privilege = { kind: 'account', reason: result.reason }
      startedAt = clock.now()
      result = await ask(false)
    }
    answer = answerOf(result, mark, deadlineSeconds)
  } catch (error) {
    signal.throwIfAborted()
    if (!(error instanceof AppError)) throw error
    answer = { text: '', trouble: error.message, error: error.toData() }
  }
  const endedAt = clock.now()

  const report = readReport(mark, answer.text)
  const trouble = answer.trouble ?? 'the answer of the node ends in the middle'
  const completeness: Completeness = report.isComplete
    ? { kind: 'complete' }
    : report.hasStarted
      ? { kind: 'partial', reason: trouble }
      : { kind: 'none', reason: trouble, error: answer.error }
  return {
    place: runner.place,
    facts: factsOfReport(report, trouble),
    startedAt,
    endedAt,
    durationMs: endedAt - startedAt,
    privilege,
    completeness,
    raw: printableRaw(answer.text, report),
  }
}

interface Answer {
  readonly text: string
  readonly trouble: string | undefined
  readonly error: AppErrorData | undefined
}

function answerOf(result: ProgramResult, mark: string, deadlineSeconds: number): Answer {
  const error = undefined
  switch (result.kind) {
    case 'ended': {
      const { stdout: text, stderr, exitCode } = result
      if (exitCode === 0) return { text, trouble: undefined, error }
      // A shell that refuses says so on either stream; a report is no complaint.
      const said = printableStart(stderr !== '' || text.includes(mark) ? stderr : text, 160)
      const how = exitCode === null ? 'by a signal' : `with exit code ${exitCode}`
      return { text, trouble: `sh on the node was ended ${how}${said === '' ? '' : `: ${said}`}`, error }
    }
    case 'killed':
      return {
        text: result.stdout,
        trouble:
          result.reason === 'deadline'
            ? `the node did not answer within ${deadlineSeconds} s`
            : `the node printed more than ${maxOutputBytes / 1024 ** 2} MiB`,
        error,
      }
    case 'missing':
      return { text: '', trouble: 'there is no program sh on the node', error }
    case 'not-permitted':
      return { text: '', trouble: result.reason, error }
  }
}
