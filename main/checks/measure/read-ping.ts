import { read, unread, type Fact } from '../../appliance/facts/fact.ts'
import { printableStart } from '../../network/printable.ts'
import { isTimeoutCode, type JobPart } from './job-output.ts'
import type { PingReading } from './measurements.ts'

/**
 * What ping of iputils or BusyBox printed. `undefined` in `parts`: ping did not run. Several runs to the same address
 * are added up.
 */
export function readPings(parts: readonly JobPart[], source: string): Fact<PingReading> {
  const readings: PingReading[] = []
  for (const part of parts) {
    if (part.missing !== undefined) return unread(`there is no program ${part.missing} on the node`, source)
    const reading = readPing(part.text)
    if (reading !== undefined) readings.push(reading)
    else if (isUnreachable(part.text)) readings.push({ sent: 1, received: 0 })
    else {
      if (isTimeoutCode(part.status)) return unread('ping did not end in time', source)
      const said = printableStart(part.text.replace(/^PING .*$/gmu, ''), 80)
      return unread(said === '' ? 'ping told nothing' : `ping says: ${said}`, source)
    }
  }
  if (readings.length === 0) return unread('ping was not run', source)
  return read(readings.reduce(sum), source)
}

function sum(first: PingReading, second: PingReading): PingReading {
  const received = first.received + second.received
  const trips = [first, second].flatMap((one) =>
    one.roundTrip === undefined ? [] : [{ ...one.roundTrip, weight: one.received }],
  )
  const timeToLive = first.timeToLive ?? second.timeToLive
  return {
    sent: first.sent + second.sent,
    received,
    ...(trips.length === 0
      ? {}
      : {
          roundTrip: {
            minimum: Math.min(...trips.map(({ minimum }) => minimum)),
            average:
              trips.reduce((total, { average, weight }) => total + average * weight, 0) /
              trips.reduce((total, { weight }) => total + weight, 0),
            maximum: Math.max(...trips.map(({ maximum }) => maximum)),
          },
        }),
    ...(timeToLive === undefined ? {} : { timeToLive }),
  }
}

/** Nothing was even sent: the kernel knows no way. */
function isUnreachable(text: string): boolean {
  return /Network is unreachable|No route to host|Network unreachable/iu.test(text)
}

/** One run of ping; `undefined` when its summary is not there. */
export function readPing(text: string): PingReading | undefined {
  const counts = /(?:^|\n)(\d{1,6}) packets transmitted, (\d{1,6})(?: packets)? received/u.exec(text)
  if (counts === null) return undefined
  const sent = Number(counts[1])
  // Duplicates are counted apart; more answers than questions are no better than all.
  const received = Math.min(sent, Number(counts[2]))
  if (sent === 0) return undefined
  const times = /(?:rtt|round-trip) min\/avg\/max(?:\/mdev)? = ([\d.]+)\/([\d.]+)\/([\d.]+)/u.exec(text)
  const [minimum = NaN, average = NaN, maximum = NaN] = (times ?? []).slice(1).map(Number)
  const timeToLive = /\bttl=(\d{1,3})\b/u.exec(text)?.[1]
  const isTold = received > 0 && [minimum, average, maximum].every(Number.isFinite)
  return {
    sent,
    received,
    ...(isTold ? { roundTrip: { minimum, average, maximum } } : {}),
    ...(timeToLive === undefined || received === 0 ? {} : { timeToLive: Number(timeToLive) }),
  }
}
