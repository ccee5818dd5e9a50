import type { AddressReport, FreeAddressReport } from '../../../shared/addresses/index.ts'
import { parseAddress } from '../../../shared/plan/ipv4.ts'
import type { FindProgress } from '../../network/discovery/find-free-addresses.ts'

/** One line about how far it is. */
export function formatProgress({ stage, asked, of, free, used }: FindProgress): string {
  const what = { sweep: 'Asking', confirm: 'Proving the best candidates', recheck: 'Asking once more' }[stage]
  return `${what}: ${asked} of ${of} addresses, ${free} free, ${used} in use`
}

/** The report for people: what can be used, why, and what was seen of the rest. */
export function formatFreeAddresses(
  report: FreeAddressReport,
  { isRecheckOffered }: { readonly isRecheckOffered: boolean },
): string {
  const { asked, candidates, used, doubtful, vantages } = report
  const looked = vantages.filter(({ isAttached }) => isAttached)
  const others = vantages.filter(({ isAttached }) => !isAttached)
  const seconds = (report.elapsedMs / 1000).toFixed(1)
  const lines = [
    `Looked at ${asked.addresses} of ${asked.of} addresses of ${report.cidr} in ${seconds} s from ` +
      `${looked.map(({ name, detail, methods }) => `${name} (${detail}; ${methods.join(', ')})`).join(' and ')}.`,
    ...others.map(({ name, detail }) => `Not from ${name}: ${detail}.`),
    '',
    ...(candidates.length === 0
      ? ['No free address was found.']
      : [
          row('Free', 'Sure', 'Evidence'),
          ...candidates.map((candidate) => row(candidate.address, sure(candidate), candidate.reason)),
        ]),
    '',
    ...section(`In use or reserved: ${used.length}`, used),
    ...section(`Doubtful, not offered: ${doubtful.length}`, doubtful),
    ...report.dhcp.map(
      ({ server, likelyPool }) =>
        `The DHCP server ${server} offers addresses from ${likelyPool.first} to ${likelyPool.last}, probably more around them.`,
    ),
    ...report.warnings.map((warning) => `warning: ${warning}`),
  ]
  if (candidates.length > 0) {
    lines.push(
      report.recheckedAfterSeconds > 0
        ? `Asked twice, ${report.recheckedAfterSeconds} s apart. Silence is no proof: a machine that is switched off does not answer.`
        : 'Silence is no proof: a machine that is switched off does not answer.' +
            (isRecheckOffered
              ? ' --recheck asks once more after a minute, as an installation does by itself.'
              : ''),
    )
  }
  return `${lines.join('\n')}\n`
}

/** More than so many lines of one kind hide what matters. */
const shownAtMost = 40

function section(title: string, reports: readonly AddressReport[]): string[] {
  if (reports.length === 0) return []
  const rows = rowsOf(reports)
  const shown = rows.slice(0, shownAtMost)
  const left = rows.slice(shownAtMost).reduce((sum, { count }) => sum + count, 0)
  return [
    title,
    ...shown.map(({ addresses, reason }) => `  ${addresses.padEnd(19)}  ${reason}`),
    ...(left > 0 ? [`  … and ${left} more; --json lists all of them`] : []),
    '',
  ]
}

/** Addresses that follow each other for the same reason stand in one row: `10.10.200.20–.41`. */
function rowsOf(
  reports: readonly AddressReport[],
): { readonly addresses: string; readonly count: number; readonly reason: string }[] {
  const rows: { first: string; last: string; count: number; reason: string }[] = []
  for (const { address, reason } of reports) {
    const row = rows.at(-1)
    const isNext = row !== undefined && (parseAddress(row.last) ?? 0) + 1 === parseAddress(address)
    if (isNext && row.reason === reason) {
      row.last = address
      row.count += 1
    } else rows.push({ first: address, last: address, count: 1, reason })
  }
  return rows.map(({ first, last, count, reason }) => ({
    addresses: count === 1 ? first : `${first}–${last.slice(last.lastIndexOf('.'))}`,
    count,
    reason,
  }))
}

function row(address: string, confidence: string, reason: string): string {
  return `${address.padEnd(15)}  ${confidence.padStart(4)}  ${reason}`
}

function sure({ confidence }: AddressReport): string {
  return `${Math.round(confidence * 100)} %`
}
