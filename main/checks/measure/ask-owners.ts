import { AppError } from '../../../shared/errors/index.ts'
import { read, unread, type Fact } from '../../appliance/facts/fact.ts'
import type { Clock } from '../../engine/clock.ts'
import { detectArping, probeWithArping } from '../../network/arping/index.ts'
import { createBatchRunner } from '../../network/programs/batch-runner.ts'
import type { ProgramRunner } from '../../network/programs/program-runner.ts'
import type { AddressQuestion } from './measurements.ts'

export interface OwnerQuestions {
  /** Name of the node that asks. */
  readonly from: string
  readonly address: string
  readonly runner: ProgramRunner
  readonly interface: string | undefined
  /** Who has the address of a node now. */
  readonly owners: readonly { readonly node: string; readonly address: string }[]
  /** Who has an address that a node shall get. */
  readonly planned: readonly { readonly node: string; readonly address: string }[]
}

interface Answers {
  readonly owners: readonly AddressQuestion[]
  readonly planned: readonly AddressQuestion[]
}

/**
 * Asks by ARP from a node, with one connection's session at a time: all questions of a kind are one command. Never
 * rejects because of the node; rejects with the signal's reason when it is aborted.
 */
export async function askOwners(
  questions: OwnerQuestions,
  clock: Clock,
  signal: AbortSignal,
): Promise<Answers> {
  const { from, owners, planned } = questions
  const nobody = (reason: string) => ({
    owners: owners.map((one) => ({ ...one, from, macs: unread(reason, `arping on ${from}`) })),
    planned: planned.map((one) => ({ ...one, from, macs: unread(reason, `arping on ${from}`) })),
  })
  if (owners.length + planned.length === 0) return nobody('')
  const interfaceName = questions.interface
  if (interfaceName === undefined) return nobody(`the interface of ${from} is not known`)
  try {
    const arping = await detectArping(questions.runner, signal)
    if (arping.kind === 'none' || arping.kind === 'unknown') {
      return nobody(`there is no arping on ${from} that Landfall knows`)
    }
    const ask = async (kind: 'arping' | 'arp-probe', asked: OwnerQuestions['owners']) => {
      if (asked.length === 0) return []
      const answers = await probeWithArping({
        runner: createBatchRunner(questions.runner),
        vantage: from,
        addresses: asked.map(({ address }) => address),
        interface: interfaceName,
        kind,
        clock,
        signal,
        ownAddresses: [questions.address],
        arping,
      })
      return asked.map((one): AddressQuestion => {
        const seen = answers?.observations.find(({ address }) => address === one.address)
        const source = `arping ${kind === 'arp-probe' ? '-D ' : ''}${one.address} on ${from}`
        const macs: Fact<readonly string[]> =
          seen === undefined
            ? unread('it was not asked', source)
            : seen.answer === 'unclear'
              ? unread(seen.detail, source)
              : read(seen.macs, source)
        return { ...one, from, macs }
      })
    }
    // One after the other: a node may allow one session only.
    const answered = await ask('arping', owners)
    return { owners: answered, planned: await ask('arp-probe', planned) }
  } catch (error) {
    signal.throwIfAborted()
    if (!(error instanceof AppError)) throw error
    return nobody(error.title)
  }
}
