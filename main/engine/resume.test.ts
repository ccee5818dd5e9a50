import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { AppError } from '../../shared/errors/index.ts'
import type { RunEvent } from '../../shared/events/index.ts'
import { emptyRunView, foldEvent } from '../../shared/events/index.ts'
import { StoppedByOperator } from './cancellation.ts'
import { createJournal, readJournal, resumeJournal } from './journal.ts'
import { nodePhase, sitePhase, type Phase } from './phase.ts'
import { executeRun } from './run.ts'
import { createManualClock } from './testing/manual-clock.ts'
import { planWith } from './testing/run-harness.ts'

const nodeNames = ['n1', 'n2', 'n3']

/** A site that outlives the processes of the workstation. Only creating the cluster must not happen twice. */
interface Site {
  readonly hostNames: Map<string, string>
  readonly links: Set<string>
  clusters: number
  /** The site notices a new cluster only after it was asked this often: a read right after the act still shows none. */
  looksUntilSeen: number
  /** Acts of any kind, with the node. */
  readonly acts: string[]
}

function createSite(): Site {
  return { hostNames: new Map(), links: new Set(), clusters: 0, looksUntilSeen: 0, acts: [] }
}

/** The process dies: nothing that it still wants to do reaches the site. */
class Killed extends Error {}

interface World {
  readonly site: Site
  /** Throws when the process is dead. */
  reach(): Promise<void>
}

const phases: readonly Phase<World>[] = [
  nodePhase<World, string | undefined>({
    id: 'configure',
    title: 'Configure hosts',
    expectedSeconds: 60,
    work: 'ssh',
    gather: async ({ services, node }) => {
      await services.reach()
      return services.site.hostNames.get(node.name)
    },
    assumeFresh: () => undefined,
    select: ({ node }, facts) =>
      facts === node.name ? { kind: 'already-done', statement: 'named', seen: facts } : { kind: 'needed' },
    apply: async (context) => {
      await context.change('host-name', 'Set the host name', async () => {
        await context.services.reach()
        context.services.site.hostNames.set(context.node.name, context.node.name)
        context.services.site.acts.push(`host-name ${context.node.name}`)
      })
    },
    verify: async (context) => {
      await context.services.reach()
      const seen = context.services.site.hostNames.get(context.node.name)
      expect(seen).toBe(context.node.name)
      context.evidence('The host name is set.', seen ?? '')
    },
  }),
  nodePhase<World, boolean>({
    id: 'link',
    title: 'Link hosts',
    expectedSeconds: 300,
    work: 'api',
    concerns: (node) => !node.leader,
    gather: async ({ services, node }) => {
      await services.reach()
      return services.site.links.has(node.name)
    },
    assumeFresh: () => false,
    select: (_context, isLinked) =>
      isLinked ? { kind: 'already-done', statement: 'linked', seen: 'yes' } : { kind: 'needed' },
    apply: async (context) => {
      await context.change('link', 'Link to the leader', async () => {
        await context.services.reach()
        context.services.site.links.add(context.node.name)
        context.services.site.acts.push(`link ${context.node.name}`)
        // The answer gets lost once; it did take effect.
        if (context.node.name === 'n2') {
          throw new AppError({ code: 'CONNECTION_LOST', title: 'Connection lost.', isTransient: true })
        }
      })
    },
    cleanUp: () => Promise.resolve(),
  }),
  sitePhase<World, number>({
    id: 'cluster',
    title: 'Create the cluster',
    expectedSeconds: 1500,
    work: 'api',
    gather: async ({ services }) => {
      await services.reach()
      return seenClusters(services.site)
    },
    assumeFresh: () => 0,
    select: (_context, clusters) =>
      clusters > 0
        ? { kind: 'already-done', statement: 'cluster there', seen: `${clusters}` }
        : { kind: 'needed' },
    apply: async (context) => {
      const { services, history } = context
      const state = history.change('cluster', undefined, 'create')
      if (state === 'never' || state === 'failed') {
        await context.change('create', 'Create the cluster', async () => {
          await services.reach()
          services.site.clusters += 1
          services.site.looksUntilSeen = 3
          services.site.acts.push('create')
        })
      }
      const wait = { until: 'the cluster shows', everySeconds: 30, deadlineSeconds: 300, remedies: [] }
      const found = await context
        .waitFor(wait, async () => {
          await services.reach()
          return seenClusters(services.site) > 0
            ? { kind: 'ready', value: true }
            : { kind: 'waiting', detail: 'no cluster yet' }
        })
        .catch((error: unknown) => {
          // Begun, never answered, and not there after the whole wait: it did not take effect.
          if (state === 'unknown' && error instanceof AppError && error.code === 'DEADLINE_PASSED')
            return false
          throw error
        })
      if (found === false) {
        await context.change('create', 'Create the cluster', async () => {
          await services.reach()
          services.site.clusters += 1
          services.site.acts.push('create')
        })
      }
    },
    verify: async (context) => {
      await context.services.reach()
      context.evidence('There is one cluster.', `${context.services.site.clusters}`)
    },
  }),
]

function seenClusters(site: Site): number {
  if (site.clusters > 0 && site.looksUntilSeen > 0) {
    site.looksUntilSeen -= 1
    return 0
  }
  return site.clusters
}

let directory: string
let file: string
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'landfall-resume-'))
  file = join(directory, 'journal.ndjson')
})
afterEach(async () => {
  await rm(directory, { recursive: true, force: true })
})

/**
 * One process: begins or resumes the run of the journal. With `diesAt` it dies when the journal has that many lines:
 * `early`, as soon as the last of them is written, so that the act that it announces never reaches the site; `late`,
 * when the next one is about to be written, so that the act has taken effect and nobody noted it.
 */
async function runProcess(site: Site, diesAt = Number.POSITIVE_INFINITY, when: 'early' | 'late' = 'early') {
  const isNew = (await readFile(file).catch(() => undefined)) === undefined
  const { journal, events: earlier } = isNew
    ? { journal: await createJournal(file), events: undefined }
    : await resumeJournal(file)
  const death = new AbortController()
  let lines = earlier?.length ?? 0
  const mortal = {
    file,
    append: async (event: RunEvent) => {
      if (lines >= diesAt) death.abort(new Killed('killed'))
      death.signal.throwIfAborted()
      lines += 1
      const isLast = lines >= diesAt
      await journal.append(event)
      if (isLast && when === 'early') death.abort(new Killed('killed'))
    },
    close: () => journal.close(),
  }
  const clock = createManualClock()
  clock.runFree()
  const result = await executeRun<World>({
    runId: 'run-1',
    plan: planWith(nodeNames.length),
    planDigest: 'a'.repeat(64),
    phases,
    services: {
      site,
      reach: async () => {
        await Promise.resolve()
        death.signal.throwIfAborted()
      },
    },
    mode: 'apply',
    clock,
    journal: mortal,
    ...(earlier === undefined ? {} : { earlier }),
    signal: death.signal,
    redact: (text) => text,
    onEvent: () => undefined,
  })
  await journal.close()
  return result
}

async function expectWellDone(site: Site, what: string) {
  const reading = readJournal(await readFile(file))
  if (reading.kind === 'broken') throw new Error(`${what}: line ${reading.line} ${reading.reason}`)
  expect(reading.events.at(-1), what).toMatchObject({ type: 'run-finished', outcome: 'done' })
  expect([...site.hostNames.keys()].toSorted(), what).toEqual(nodeNames)
  expect([...site.links].toSorted(), what).toEqual(['n2', 'n3'])
  expect(site.clusters, what).toBe(1)
  expect(
    site.acts.filter((act) => act === 'create'),
    what,
  ).toHaveLength(1)
  // Every act had been announced before it happened.
  const announced = reading.events.filter((event) => event.type === 'change-started').length
  expect(announced, what).toBeGreaterThanOrEqual(site.acts.length)
  let view = emptyRunView
  for (const event of reading.events) {
    const next = foldEvent(view, event)
    expect(next.progress, what).toBeGreaterThanOrEqual(view.progress)
    view = next
  }
  expect(view, what).toMatchObject({ status: 'done', progress: 1 })
}

async function linesOfWholeRun(): Promise<number> {
  const site = createSite()
  expect(await runProcess(site)).toEqual({ outcome: 'done', errors: [] })
  await expectWellDone(site, 'without a kill')
  expect(site.acts).toHaveLength(6)
  const reading = readJournal(await readFile(file))
  await rm(file)
  return reading.kind === 'intact' ? reading.events.length : 0
}

describe('an installation whose process is killed', () => {
  it.each([
    ['before the act that was announced', 'early'],
    ['after the act, before it is noted', 'late'],
  ] as const)('after any line, %s, is finished by the next one, with one cluster', async (_name, when) => {
    const lines = await linesOfWholeRun()
    expect(lines).toBeGreaterThan(30)
    for (let diesAt = 1; diesAt < lines; diesAt += 1) {
      const site = createSite()
      await runProcess(site, diesAt, when)
      const reading = readJournal(await readFile(file))
      expect(reading).toMatchObject({ kind: 'intact', events: { length: diesAt } })
      expect(await runProcess(site), `killed after line ${diesAt}`).toEqual({ outcome: 'done', errors: [] })
      await expectWellDone(site, `killed after line ${diesAt}`)
      await rm(file)
    }
  })

  it('again and again, each time a few lines later and in the middle of a line, is finished all the same', async () => {
    for (const stride of [1, 2, 3, 5, 8]) {
      const site = createSite()
      let diesAt = 1
      for (let process = 0; process < 40; process += 1) {
        await runProcess(site, diesAt, process % 2 === 0 ? 'late' : 'early')
        const reading = readJournal(await readFile(file))
        if (reading.kind === 'broken') throw new Error(reading.reason)
        if (reading.events.at(-1)?.type === 'run-finished') break
        await writeFile(file, '{"previousHash":"', { flag: 'a' })
        // Each process first reads again what is done already, so it has to live longer than the one before.
        diesAt = reading.events.length + stride * process
      }
      await expectWellDone(site, `stride ${stride}`)
      await rm(file)
    }
  })

  it('before its first line begins from the start', async () => {
    await writeFile(file, '')
    const site = createSite()
    expect(await runProcess(site)).toEqual({ outcome: 'done', errors: [] })
    await expectWellDone(site, 'empty journal')
  })

  it('is not repeated in what was done when it was stopped by the operator instead', async () => {
    const site = createSite()
    const stop = new AbortController()
    const journal = await createJournal(file)
    const clock = createManualClock()
    clock.runFree()
    const result = await executeRun<World>({
      runId: 'run-1',
      plan: planWith(3),
      planDigest: 'a'.repeat(64),
      phases,
      services: { site, reach: () => Promise.resolve() },
      mode: 'apply',
      clock,
      journal,
      signal: stop.signal,
      redact: (text) => text,
      onEvent: (event) => {
        if (event.type === 'phase-started' && event.phase === 'cluster') stop.abort(new StoppedByOperator())
      },
    })
    await journal.close()
    expect(result.outcome).toBe('stopped')
    expect(await runProcess(site)).toEqual({ outcome: 'done', errors: [] })
    expect(site.acts).toHaveLength(6)
    await expectWellDone(site, 'stopped')
  })
})
