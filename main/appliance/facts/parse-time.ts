import type { TimeSource } from './node-facts.ts'
import { assignmentsOf, decimalOf, filled, integerOf, wordsOf } from './parse-text.ts'

/** `date` with `epoch=%s.%N`, `zone=%Z`, `offset=%z`. BusyBox may leave `%N` as it is: then to the second. */
export function parseDate(text: string): { epochMs: number; utcOffsetMs: number | undefined } | undefined {
  const values = assignmentsOf(text)
  const [, seconds, fraction = ''] = /^(\d{1,12})(?:\.(\d{1,9}))?/u.exec(values.get('epoch') ?? '') ?? []
  if (seconds === undefined) return undefined
  const [, sign, hours, minutes] = /^([+-])(\d\d)(\d\d)$/u.exec(values.get('offset') ?? '') ?? []
  return {
    epochMs: Number(seconds) * 1000 + Number(fraction.padEnd(9, '0')) / 1e6,
    utcOffsetMs:
      sign === undefined
        ? undefined
        : (sign === '-' ? -1 : 1) * (Number(hours) * 60 + Number(minutes)) * 60_000 + 0,
  }
}

export interface Timedatectl {
  readonly timeZone: string | undefined
  readonly isRtcLocalTime: boolean | undefined
  readonly isNtpEnabled: boolean | undefined
  readonly isSynchronized: boolean | undefined
}

/** `timedatectl show`: its names are the same in every language. */
export function parseTimedatectl(text: string): Timedatectl {
  const values = assignmentsOf(text)
  return {
    timeZone: filled(values.get('Timezone')),
    isRtcLocalTime: yesOrNo(values.get('LocalRTC')),
    isNtpEnabled: yesOrNo(values.get('NTP')),
    isSynchronized: yesOrNo(values.get('NTPSynchronized')),
  }
}

function yesOrNo(text: string | undefined): boolean | undefined {
  return text === 'yes' ? true : text === 'no' ? false : undefined
}

/** Third line of /etc/adjtime (hwclock(8)). */
export function parseAdjtime(text: string): boolean | undefined {
  const mode = text.split('\n')[2]?.trim()
  return mode === 'LOCAL' ? true : mode === 'UTC' ? false : undefined
}

/** `timedatectl show-timesync` (systemd-timesyncd). */
export function parseTimesync(text: string): TimeSource | undefined {
  const values = assignmentsOf(text)
  const lists = ['LinkNTPServers', 'SystemNTPServers', 'RuntimeNTPServers'].flatMap((name) =>
    wordsOf(values.get(name)),
  )
  const servers = lists.length > 0 ? lists : wordsOf(values.get('FallbackNTPServers'))
  if (servers.length === 0 && !values.has('ServerName') && !values.has('Frequency')) return undefined
  // There only once a server has answered.
  const message = values.get('NTPMessage')
  const stratum = integerOf(/\bStratum=(\d+)/u.exec(message ?? '')?.[1])
  return {
    service: 'systemd-timesyncd',
    servers: [...new Set(servers)],
    server:
      message === undefined
        ? undefined
        : (filled(values.get('ServerAddress')) ?? filled(values.get('ServerName'))),
    stratum,
    offsetMs: undefined,
  }
}

/** Names of servers that have not been looked up yet, and of none at all. */
const noReference = new Set(['00000000', '7F7F0101', '7F7F0100', ''])

/** `chronyc -n -c tracking` and `chronyc -n -c sources`: values with commas (chronyc(1)). */
export function parseChrony(
  tracking: string,
  sources: string,
): { source: TimeSource; isSynchronized: boolean } | undefined {
  const [reference = '', address = '', stratum, , correction, , , , , , , , , leap] = tracking
    .trim()
    .split(',')
  if (leap === undefined) return undefined
  const isSynchronized = leap !== 'Not synchronised' && !noReference.has(reference.toUpperCase())
  const slow = decimalOf(correction)
  return {
    isSynchronized,
    source: {
      service: 'chrony',
      servers: sources.split('\n').flatMap((line) => {
        const [mode, state, server] = line.split(',')
        return state !== undefined && (mode === '^' || mode === '=') && server !== undefined ? [server] : []
      }),
      server: isSynchronized ? filled(address) : undefined,
      stratum: isSynchronized ? integerOf(stratum) : undefined,
      // chrony tells by how much the system clock is slow.
      offsetMs: isSynchronized && slow !== undefined ? -slow * 1000 + 0 : undefined,
    },
  }
}
