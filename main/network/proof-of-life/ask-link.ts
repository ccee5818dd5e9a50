import type { Clock } from '../../engine/clock.ts'
import { announceCommand } from '../arping/index.ts'
import { detectArping, type ArpingVariant } from '../arping/detect-arping.ts'
import { probeWithArping } from '../arping/probe-addresses.ts'
import { readAnnouncement } from '../arping/read-arping.ts'
import { allSettled } from './all-settled.ts'
import type { ProofNode } from './proof.ts'
import { asClause } from './unless-unreachable.ts'

/** Who answered ARP for the address, as arping heard it. */
export type LinkReading =
  | { readonly kind: 'answered'; readonly macs: readonly string[]; readonly detail: string }
  | { readonly kind: 'silent' | 'unknown'; readonly detail: string }

/** `arp-probe`: duplicate address detection (RFC 5227 §2.1.1) · `arping`: requests, every answer collected. */
export interface LinkQuestion {
  readonly kind: 'arp-probe' | 'arping'
  readonly count: number
}

/** The arping programs of the nodes; each node is asked once which one it has. */
export class LinkTools {
  readonly #clock: Clock
  readonly #address: string
  readonly #found = new Map<string, ArpingVariant>()

  constructor(address: string, clock: Clock) {
    this.#address = address
    this.#clock = clock
  }

  /** Asks from a node who has the address. Rejects like its runner. */
  async ask(node: ProofNode, question: LinkQuestion, signal: AbortSignal): Promise<LinkReading> {
    const arping = await this.#arpingOf(node, signal)
    if (arping.kind === 'none' || arping.kind === 'unknown')
      return { kind: 'unknown', detail: asClause(arping.detail) }
    const answers = await probeWithArping({
      ...question,
      runner: node.runner,
      vantage: node.name,
      addresses: [this.#address],
      interface: node.interface,
      clock: this.#clock,
      signal,
      ownAddresses: [node.address],
      arping,
    })
    const heard = answers?.observations.find(({ address }) => address === this.#address)
    if (heard === undefined) return { kind: 'unknown', detail: 'arping said nothing' }
    const detail = asClause(heard.detail)
    switch (heard.answer) {
      case 'answered':
        return { kind: 'answered', macs: heard.macs, detail }
      case 'silent':
        return { kind: 'silent', detail }
      case 'unclear':
        // Who seemed to answer counts: it can only make the result more careful.
        return heard.macs.length > 0
          ? { kind: 'answered', macs: heard.macs, detail }
          : { kind: 'unknown', detail }
    }
  }

  /**
   * Announces that the node holds the address now (RFC 5227 §2.3), as requests and as replies, because some devices
   * learn from one kind only. About two seconds. Why it was not announced; `undefined`: it was. Rejects like the runner.
   */
  async announce(node: ProofNode, signal: AbortSignal): Promise<string | undefined> {
    const arping = await this.#arpingOf(node, signal)
    if (arping.kind === 'none' || arping.kind === 'unknown') return asClause(arping.detail)
    const target = { address: this.#address, interface: node.interface, count: 2 }
    const problems = await allSettled(
      (['request', 'reply'] as const).map(async (form) => {
        const command = announceCommand(arping, { ...target, form })
        const result = await node.runner.run(command.program, command.args, {
          signal,
          deadlineSeconds: command.seconds + 5,
          asRoot: true,
        })
        const reading = readAnnouncement(arping, { ...target, requests: command.requests }, result)
        return 'problem' in reading ? asClause(reading.problem) : undefined
      }),
    )
    // One kind is enough to be heard.
    return problems.every((problem) => problem !== undefined) ? problems[0] : undefined
  }

  async #arpingOf(node: ProofNode, signal: AbortSignal): Promise<ArpingVariant> {
    const known = this.#found.get(node.name)
    if (known !== undefined) return known
    const found = await detectArping(node.runner, signal)
    this.#found.set(node.name, found)
    return found
  }
}
