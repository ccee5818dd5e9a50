import { join } from 'node:path'
import process from 'node:process'
import { AppError } from '../../shared/errors/index.ts'
import { foldEvents } from '../../shared/events/index.ts'
import type { Plan } from '../../shared/plan/index.ts'
import { consolePort } from '../phases/console-access.ts'
import { openIdentityStore } from '../storage/index.ts'
import { SiteFolder, stateFolder } from '../storage/site-folder.ts'
import { exitCodes } from './exit-codes.ts'
import { loadPlan } from './plan-file.ts'
import { eventsOf } from './run-events.ts'

/**
 * Forgets the pinned identities of one node (or of the console), so that they are shown and pinned anew. `isPractice`:
 * those of a practice lab that runs in another process (`run --lab-at`).
 */
export async function forgetIdentities(planFile: string, name: string, isPractice: boolean): Promise<number> {
  const { plan } = await loadPlan(planFile)
  const site = new SiteFolder(
    join(stateFolder(process.env), isPractice ? 'practice' : 'sites', plan.site.name),
  )
  const store = await openIdentityStore(site.identitiesFile)
  if (name === 'console') {
    await store.forget('tls', { host: await consoleHostOf(plan, site), port: consolePort })
  } else {
    const node = plan.nodes.find((candidate) => candidate.name === name)
    if (node === undefined) {
      throw new AppError({
        code: 'BAD_ARGUMENT',
        title: `The plan has no node "${name}".`,
        detail: `It has: ${plan.nodes.map((candidate) => candidate.name).join(', ')}, and "console".`,
        remedies: ['Give one of these names.'],
      })
    }
    for (const host of new Set([node.address, node.nic.address ?? node.address])) {
      await store.forget('tls', { host, port: node.localUi.port })
      await store.forget('ssh', { host, port: node.ssh.port })
    }
  }
  process.stdout.write(`The identities of ${name} are forgotten; the next run shows and pins them anew.\n`)
  return exitCodes.done
}

/** With `vip: auto` the journal of the last run knows the address. */
async function consoleHostOf(plan: Plan, site: SiteFolder): Promise<string> {
  if (plan.site.vip !== 'auto') return plan.site.vip
  const run = await site.latestRun()
  const { chosenVip } = foldEvents(run === undefined ? [] : await eventsOf(run))
  if (chosenVip !== undefined) return chosenVip
  throw new AppError({
    code: 'BAD_ARGUMENT',
    title: 'It is not known at which address the system console is.',
    detail: 'site.vip is auto, and the last run of this site chose no address.',
    remedies: [
      'Nothing needs to be forgotten when no run has reached the console yet.',
      'Otherwise write the address of the console as site.vip in the plan, then forget its identity.',
    ],
  })
}
