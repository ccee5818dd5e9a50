import { type Fact, firstRead, mapFact, parseFact, read, readIfTold, unread } from './fact.ts'
import type { ClockFacts } from './node-facts.ts'
import { parseUptime } from './parse-system.ts'
import { assignmentsOf, integerOf } from './parse-text.ts'
import { parseAdjtime, parseChrony, parseDate, parseTimedatectl, parseTimesync } from './parse-time.ts'
import { partOf, type ReportReader } from './report-reader.ts'

export function clockFacts(reader: ReportReader): ClockFacts {
  const date = parseFact(reader.output('time'), parseDate)
  const timedatectl = mapFact(reader.output('timedatectl'), parseTimedatectl)
  const told = <Value>(value: Value | undefined): Fact<Value> =>
    timedatectl.kind === 'unread' ? timedatectl : readIfTold(value, timedatectl.source, 'it does not tell')
  const settings = timedatectl.kind === 'read' ? timedatectl.value : undefined
  const utcOffsetMs: Fact<number> =
    date.kind === 'unread'
      ? date
      : readIfTold(date.value.utcOffsetMs, date.source, 'it does not tell the offset')
  const isRtcLocalTime = firstRead(
    told(settings?.isRtcLocalTime),
    parseFact(reader.file('clock-hardware', '/etc/adjtime'), parseAdjtime),
  )
  const chrony = chronyFact(reader)
  return {
    epochMs: mapFact(date, ({ epochMs }) => epochMs),
    utcOffsetMs,
    timeZone: told(settings?.timeZone),
    isRtcLocalTime,
    rtcDifferenceMs: rtcDifference(reader, utcOffsetMs, isRtcLocalTime),
    isSynchronized: firstRead(
      told(settings?.isSynchronized),
      mapFact(chrony, ({ isSynchronized }) => isSynchronized),
    ),
    isNtpEnabled: told(settings?.isNtpEnabled),
    source: firstRead(
      mapFact(chrony, ({ source }) => source),
      parseFact(reader.output('timesync'), parseTimesync),
    ),
  }
}

function chronyFact(reader: ReportReader) {
  const parts = reader.parts('chrony')
  if (parts.kind === 'unread') return parts
  return parseFact(read(partOf(parts.value, 'list', 'tracking')?.text ?? '', parts.source), (tracking) =>
    parseChrony(tracking, partOf(parts.value, 'list', 'sources')?.text ?? ''),
  )
}

/** Both clocks at the same moment: the system clock is carried there by the uptime. */
function rtcDifference(
  reader: ReportReader,
  utcOffsetMs: Fact<number>,
  isRtcLocalTime: Fact<boolean>,
): Fact<number> {
  const source = '/sys/class/rtc/rtc0/since_epoch'
  const parts = reader.parts('clock-hardware')
  if (parts.kind === 'unread') return unread(parts.reason, source)
  const rtc = partOf(parts.value, 'folder', 'rtc0')
  if (rtc === undefined) return unread('there is no hardware clock', source)
  const seconds = integerOf(assignmentsOf(rtc.text).get('since_epoch'))
  const epoch = parseFact(reader.output('time'), parseDate)
  const asked = parseFact(reader.file('uptime', '/proc/uptime'), parseUptime)
  const now = parseFact(reader.file('clock-hardware', '/proc/uptime'), parseUptime)
  if (seconds === undefined || epoch.kind === 'unread' || asked.kind === 'unread' || now.kind === 'unread') {
    return unread('it does not tell', source)
  }
  const isLocal = isRtcLocalTime.kind === 'read' && isRtcLocalTime.value
  const zone = isLocal && utcOffsetMs.kind === 'read' ? utcOffsetMs.value : 0
  const systemMs = epoch.value.epochMs + (now.value - asked.value)
  return read(Math.round((seconds * 1000 - zone - systemMs) / 1000) * 1000 + 0, source)
}
