import { valueOf, type CollectedFacts } from '../../appliance/facts/index.ts'
import { onFact, unknown, verdict, type Question, type Verdict } from './question.ts'
import type { Subject } from './subject.ts'

/** Names of the same zone in the time zone database. */
const utcNames = new Set([
  'UTC',
  'Etc/UTC',
  'Etc/UCT',
  'UCT',
  'Universal',
  'Etc/Universal',
  'Zulu',
  'Etc/Zulu',
])

/** Clock of a node, as far as it tells itself (checks.md §3.4); its deviation is measured elsewhere. */
export const clockChecks: readonly Question<Subject>[] = [
  {
    id: 'ntp.synced',
    threshold: () => 'the clock is synchronized with a time server',
    remedy: () =>
      'Name time servers of the site in the plan (site.ntp), and look whether the node reaches them (UDP port 123).',
    ask: synced,
  },
  {
    id: 'clock.tz',
    threshold: () => 'UTC, hardware clock too',
    remedy: ({ node }) =>
      `On ${node.name}: sudo timedatectl set-timezone UTC; sudo timedatectl set-local-rtc 0. Times in logs are hard to compare otherwise.`,
    ask: timeZone,
  },
]

function synced({ host: { clock }, collected }: Subject): Verdict {
  return onFact(clock.isSynchronized, (isSynchronized, source) => {
    const from = valueOf(clock.source)
    const server = from?.server === undefined ? '' : ` with ${from.server}`
    const stratum = from?.stratum === undefined ? '' : ` (stratum ${from.stratum})`
    const far = collected === undefined ? undefined : differenceOf(collected)
    const difference = far === undefined ? '' : `; its clock is ${far} this workstation's`
    return verdict(
      isSynchronized,
      `${isSynchronized ? `synchronized${server}${stratum}` : 'not synchronized'}${difference}`,
      source,
    )
  })
}

const minute = 60_000

/** Only what nobody can overlook; the answer took its time on the way. */
function differenceOf({
  facts,
  startedAt,
  endedAt,
}: Pick<CollectedFacts, 'facts' | 'startedAt' | 'endedAt'>): string | undefined {
  const told = valueOf(facts.clock.epochMs)
  if (told === undefined) return undefined
  const outside = told < startedAt ? told - startedAt : told > endedAt ? told - endedAt : 0
  if (Math.abs(outside) < minute) return undefined
  const minutes = Math.round(Math.abs(outside) / minute)
  const amount = minutes < 120 ? `${minutes} minutes` : `${Math.round(minutes / 6) / 10} hours`
  return `${amount} ${outside < 0 ? 'behind' : 'ahead of'}`
}

function timeZone({ host: { clock } }: Subject): Verdict {
  const { utcOffsetMs, isRtcLocalTime } = clock
  const offset = valueOf(utcOffsetMs)
  if (clock.timeZone.kind === 'unread') {
    // An offset of none is that of London in winter, too.
    return offset === undefined || offset === 0
      ? unknown(`unknown: ${clock.timeZone.reason}`, clock.timeZone.source)
      : verdict(false, `${offset / minute} minutes from UTC`, utcOffsetMs.source)
  }
  const { value: name, source } = clock.timeZone
  if (!utcNames.has(name)) return verdict(false, name, source)
  // In this zone local time is UTC: what the hardware clock is said to keep makes no difference when it is not told.
  return valueOf(isRtcLocalTime) === true
    ? verdict(
        false,
        `${name}, but the hardware clock keeps local time`,
        `${source}; ${isRtcLocalTime.source}`,
      )
    : verdict(true, name, source)
}
