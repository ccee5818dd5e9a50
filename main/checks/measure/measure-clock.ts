import { AppError } from '../../../shared/errors/index.ts'
import { read, unread, type Fact } from '../../appliance/facts/fact.ts'
import type { Clock } from '../../engine/clock.ts'
import { printableStart } from '../../network/printable.ts'
import type { ProgramRunner } from '../../network/programs/program-runner.ts'
import type { ClockReading } from './measurements.ts'

const roundTrips = 5
/** Real time. No further round trip is begun after that. */
const enoughMilliseconds = 4000
const deadlineSeconds = 10
const source = `date +%s.%N, ${roundTrips} times from this workstation`

interface Sample {
  /** By our clock, in milliseconds. */
  readonly sentAt: number
  readonly receivedAt: number
  readonly realMilliseconds: number
  /** Seconds since the epoch, and how large a step of the answer is. */
  readonly seconds: number
  readonly step: number
}

/**
 * Asks a node for its time, several times, and believes the answer that was under way for the shortest time: the node read
 * its clock somewhere between question and answer, so the middle is at most half of the round trip wrong.
 *
 * Never rejects because of the node; rejects with the signal's reason when it is aborted.
 */
export async function measureClock(
  runner: ProgramRunner,
  clock: Pick<Clock, 'now'>,
  signal: AbortSignal,
): Promise<Fact<ClockReading>> {
  const samples: Sample[] = []
  let trouble = 'the node did not tell its time'
  const startedAt = performance.now()
  while (samples.length < roundTrips && performance.now() - startedAt < enoughMilliseconds) {
    const begin = performance.now()
    const sentAt = clock.now()
    try {
      const result = await runner.run('date', ['+%s.%N'], { signal, deadlineSeconds })
      const receivedAt = clock.now()
      const realMilliseconds = performance.now() - begin
      const time = result.kind === 'ended' && result.exitCode === 0 ? readTime(result.stdout) : undefined
      if (time === undefined) {
        trouble =
          result.kind === 'missing'
            ? 'there is no program date on the node'
            : result.kind === 'killed'
              ? `date did not end within ${deadlineSeconds} s`
              : result.kind === 'not-permitted'
                ? result.reason
                : `date says: ${printableStart(`${result.stdout} ${result.stderr}`, 80)}`
        break
      }
      samples.push({ sentAt, receivedAt, realMilliseconds, ...time })
    } catch (error) {
      signal.throwIfAborted()
      if (!(error instanceof AppError)) throw error
      // The detail may hold what the node printed until then.
      trouble = error.title
      break
    }
  }
  const reading = readClock(samples)
  return reading === undefined ? unread(trouble, source) : read(reading, source)
}

/** `1700000000.123456789`; BusyBox and others without nanoseconds print what they do not know as it is. */
function readTime(text: string): { seconds: number; step: number } | undefined {
  const [, whole, fraction] = /^(\d{1,11})(?:\.(\d{1,9}))?/u.exec(text.trim()) ?? []
  if (whole === undefined) return undefined
  return fraction === undefined
    ? { seconds: Number(whole) + 0.5, step: 1 }
    : { seconds: Number(`${whole}.${fraction}`), step: 10 ** -fraction.length }
}

/** A clock that runs that much faster than real time is one of a rehearsal. Less is how coarse clocks are. */
const rehearsalRate = 2

function readClock(samples: readonly Sample[]): ClockReading | undefined {
  const trip = ({ sentAt, receivedAt }: Sample) => receivedAt - sentAt
  const best = samples
    // A clock of ours that was set back in between tells nothing.
    .filter((sample) => trip(sample) >= 0)
    .toSorted((first, second) => trip(first) - trip(second))[0]
  if (best === undefined) return undefined
  const rate = Math.min(...samples.map((sample) => trip(sample) / Math.max(1, sample.realMilliseconds)))
  const half = trip(best) / 2000
  return {
    offset: best.seconds - (best.sentAt + best.receivedAt) / 2000,
    uncertainty: half + best.step / 2,
    rehearsal: rate >= rehearsalRate ? half : 0,
    roundTrip: trip(best) / 1000,
    roundTrips: samples.length,
  }
}
