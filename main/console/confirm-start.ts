import { createInterface } from 'node:readline/promises'
import process from 'node:process'
import type { Plan } from '../../shared/plan/index.ts'

/**
 * Asks once on a terminal whether the installation shall begin, naming what it does to the site. Without a terminal, or
 * with `--yes`, nobody is asked: then the command itself is the decision. Consent to destroy data is not asked for here;
 * it stands in the plan (`confirmErase`).
 */
export async function isStartConfirmed(plan: Plan, signal: AbortSignal): Promise<boolean> {
  if (!process.stdin.isTTY || !process.stderr.isTTY) return true
  const nodes = plan.nodes.map((node) => `${node.name} (${node.address})`).join(', ')
  process.stderr.write(
    `Installs "${plan.cluster.name}" on site ${plan.site.name}: ${nodes}, virtual IP address: ${
      plan.site.vip === 'auto' ? 'a free one that is looked for' : plan.site.vip
    }.\n` + `The drive ${plan.cluster.storagePoolDrive} of every node becomes the storage pool.\n`,
  )
  const terminal = createInterface({ input: process.stdin, output: process.stderr })
  try {
    const answer = await terminal.question('Begin? [y/N] ', { signal })
    return /^y(es)?$/i.test(answer.trim())
  } catch (error) {
    // Ctrl-C, or a stop from elsewhere, is an answer: no.
    if (error instanceof Error && error.name === 'AbortError') return false
    throw error
  } finally {
    terminal.close()
  }
}
