import type { AddressReport, FreeAddressReport } from '../../shared/addresses/index.ts'
import { AppError } from '../../shared/errors/index.ts'
import { parseAddress } from '../../shared/plan/ipv4.ts'
import type { AddressRange } from '../network/discovery/address-range.ts'
import type { FindProgress } from '../network/discovery/find-free-addresses.ts'
import { reservedAddresses } from './reserved-addresses.ts'
import type { SiteContext } from './site.ts'
import { readOwnMachines } from './vip-own-machines.ts'
import { nodesToLookFrom, openLookout, type AbsentPlace } from './vip-vantages.ts'

/** What is held of one address, and why. */
export type VipJudgement =
  | {
      readonly kind: 'asked'
      readonly report: AddressReport
      /** For the evidence: what was asked, from where, and how sure that makes it. */
      readonly seen: string
      /** About the looking itself; whole sentences. */
      readonly warnings: readonly string[]
    }
  /** Nobody could ask: that says nothing about the address. */
  | { readonly kind: 'unasked'; readonly reason: string }

/** Asks for one address, by everything that can: takes about ten seconds. */
export async function judgeVip(
  context: SiteContext,
  address: string,
  /** From how many nodes, besides the workstation. */
  nodes = nodesToLookFrom,
): Promise<VipJudgement> {
  const number = parseAddress(address)
  if (number === undefined) throw new TypeError(`${address} is no IPv4 address.`)
  const reserved = reservedAddresses(context.services.plan)
  // Also where the plan leaves it open: what is judged is never refused for being itself.
  reserved.delete(address)
  const look = await lookOrSayWhyNot(context, {
    range: { text: address, first: number, last: number, network: undefined },
    reserved,
    count: 1,
    nodes,
    says: () => `Asking whether anybody has ${address}`,
  })
  if (look.kind === 'nobody') return { kind: 'unasked', reason: look.reason }
  const { report, absent } = look
  const judged = [...report.candidates, ...report.used, ...report.doubtful].find(
    (one) => one.address === address,
  )
  if (judged === undefined) throw new TypeError(`${address} was asked for and not judged.`)
  return {
    kind: 'asked',
    report: judged,
    seen: describe(judged, report, absent),
    warnings: report.warnings,
  }
}

/** A free address of the site's network, and how many there are. */
export interface FoundVip {
  /** The best one; `undefined`: none is free. */
  readonly best: AddressReport | undefined
  readonly report: FreeAddressReport
  readonly seen: string
}

/**
 * Looks through the whole network of the site.
 *
 * @throws AppError `NO_VANTAGE` when nobody could ask.
 */
export async function searchVip(context: SiteContext): Promise<FoundVip> {
  const { plan } = context.services
  const { parseAddressRange } = await import('../network/discovery/address-range.ts')
  const look = await lookAt(context, {
    range: parseAddressRange(plan.site.network),
    reserved: reservedAddresses(plan),
    count: 1,
    nodes: nodesToLookFrom,
    says: ({ stage, asked, of, used, free }) =>
      stage === 'sweep'
        ? `Asking ${of} addresses: ${asked} asked, ${used} used, ${free} free so far`
        : `Asking the best addresses once more: ${used} used, ${free} free`,
  })
  if (look.kind === 'nobody') throw noVantage(plan.site.network, look.reason)
  const { report, absent } = look
  const [best] = report.candidates
  return { best, report, seen: best === undefined ? '' : describe(best, report, absent) }
}

interface LookOptions {
  readonly range: AddressRange
  readonly reserved: ReadonlyMap<string, string>
  readonly count: number
  readonly nodes: number
  readonly says: (progress: FindProgress) => string
}

type Look =
  | { readonly kind: 'seen'; readonly report: FreeAddressReport; readonly absent: readonly AbsentPlace[] }
  | { readonly kind: 'nobody'; readonly reason: string }

/** A dry run goes on without what it cannot reach. */
async function lookOrSayWhyNot(context: SiteContext, options: LookOptions): Promise<Look> {
  try {
    return await lookAt(context, options)
  } catch (error) {
    if (context.mode === 'apply' || !(error instanceof AppError) || !error.isTransient) throw error
    return { kind: 'nobody', reason: error.message }
  }
}

async function lookAt(context: SiteContext, options: LookOptions): Promise<Look> {
  const { range, reserved, count, says } = options
  const { clock, signal } = context
  const { vantages, absent } = await openLookout(context, options.nodes)
  if (vantages.length === 0) return { kind: 'nobody', reason: listAbsent(absent) }
  const own = await readOwnMachines(context)
  // Loaded only by those who look: parsers of a dozen programs hang on it.
  const { findFreeAddresses } = await import('../network/discovery/find-free-addresses.ts')
  try {
    const report = await findFreeAddresses({
      range,
      vantages,
      count,
      reserved: new Map([...own.addresses, ...reserved]),
      ownMacs: own.macs,
      clock,
      signal,
      onProgress: (progress) => {
        context.progress(says(progress), 0.8 * (progress.of === 0 ? 0 : progress.asked / progress.of))
      },
    })
    return { kind: 'seen', report, absent }
  } catch (error) {
    if (!(error instanceof AppError) || error.code !== 'NO_VANTAGE') throw error
    return { kind: 'nobody', reason: `${error.detail} ${listAbsent(absent)}`.trim() }
  }
}

function listAbsent(absent: readonly AbsentPlace[]): string {
  return absent.map(({ name, reason }) => `${name}: ${withoutStop(reason)}.`).join(' ')
}

function withoutStop(text: string): string {
  return text.replace(/[.\s]+$/, '')
}

/** What was seen of an address, for the evidence: what was asked, from where, and how sure that makes it. */
function describe(
  judged: AddressReport,
  { vantages, asked, used, doubtful }: FreeAddressReport,
  absent: readonly AbsentPlace[],
): string {
  const attached = vantages.filter(({ isAttached }) => isAttached)
  const others = [
    ...vantages.flatMap(({ isAttached, name, detail }) => (isAttached ? [] : [{ name, reason: detail }])),
    ...absent,
  ]
  return [
    judged.reason,
    ...(judged.verdict === 'free' ? [`Confidence ${Math.round(judged.confidence * 100)} %.`] : []),
    ...(asked.of > 1
      ? [
          `${asked.addresses} of ${asked.of} addresses asked: ${asked.free} free, ${used.length} used, ${doubtful.length} doubtful.`,
        ]
      : []),
    `Asked from ${attached.map(({ name, detail, methods }) => `${name} (${detail}; ${methods.join(', ')})`).join(', ')}.`,
    ...(others.length === 0 ? [] : [`Not used: ${listAbsent(others)}`]),
  ].join(' ')
}

function noVantage(network: string, reason: string): AppError {
  return new AppError({
    code: 'NO_VANTAGE',
    title: `Nobody who could look for a free address is attached to ${network}.`,
    detail: `${reason} ARP reaches no further than one network: from another one every address would look free.`,
    remedies: [
      'Write a free address as site.vip in the plan; then nothing needs to be looked for.',
      'Or make SSH possible on a node: give a key in access.sshKey, or switch on the password login.',
      `Or connect this workstation to ${network}, with an address of it.`,
    ],
  })
}
