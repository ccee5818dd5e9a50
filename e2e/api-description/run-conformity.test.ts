import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { openSite } from '../../main/console/open-site.ts'
import { loadPlan } from '../../main/console/plan-file.ts'
import { openRunSecrets } from '../../main/console/run-secrets.ts'
import { practiceView } from '../../main/console/workstation-view.ts'
import { executeRun } from '../../main/engine/run.ts'
import { startLab, type Exchange } from '../../main/lab/index.ts'
import { installationPhases } from '../../main/phases/index.ts'
import { openIdentityStore } from '../../main/storage/index.ts'
import { loadApiDescription } from './validate-exchange.ts'

const description = loadApiDescription()

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'landfall-conformity-'))
})
afterEach(async () => {
  await rm(folder, { recursive: true, force: true })
})

/** Installs an example plan on the lab and returns every request with its answer. */
async function installAndRecord(planFile: string): Promise<Exchange[]> {
  const written = await loadPlan(planFile)
  // The proof speaks SSH only, and at this speed its address lives for less than a tenth of a second.
  const plan = { ...written.plan, site: { ...written.plan.site, vipProof: false } }
  const loaded = { ...written, plan }
  const exchanges: Exchange[] = []
  const secrets = await openRunSecrets({ plan: loaded.plan, planFile: loaded.file, mode: 'practice' })
  const lab = await startLab({
    plan: loaded.plan,
    timeScale: 400,
    onExchange: (exchange) => exchanges.push(exchange),
  })
  const site = openSite({
    loaded,
    secrets: secrets.store,
    areSecretsComplete: true,
    identities: await openIdentityStore(join(folder, 'identities.json')),
    dialler: lab.dialler,
    clock: lab.clock,
    runFolder: folder,
    workstation: practiceView,
  })
  try {
    const result = await executeRun({
      runId: 'conformity',
      plan: loaded.plan,
      planDigest: '0'.repeat(64),
      phases: installationPhases,
      services: site,
      mode: 'apply',
      clock: lab.clock,
      signal: new AbortController().signal,
      redact: (text) => text,
      onEvent: () => undefined,
    })
    expect(result.errors.map((error) => error.message)).toEqual([])
    return exchanges
  } finally {
    await site.close()
    await lab.stop()
  }
}

if (description === undefined) {
  process.stderr.write(
    'skipped: the vendor API descriptions are not beside the project (../shared/reference)\n',
  )
}

describe.skipIf(description === undefined)('client and lab in a whole run', () => {
  test('every request and every answer fits the vendor API descriptions', { timeout: 120_000 }, async () => {
    const exchanges = await installAndRecord(join(import.meta.dirname, '../../examples/three-nodes.yaml'))
    const problems = exchanges.flatMap((exchange) =>
      (description?.validateExchange(exchange) ?? []).map(
        (problem) => `${exchange.method} ${exchange.path} ${exchange.status}: ${problem}`,
      ),
    )
    expect([...new Set(problems)]).toEqual([])
    // The run must have used what it is there for, or the test would prove nothing.
    const used = new Set(exchanges.map(({ method, path }) => `${method} ${path}`))
    for (const call of [
      'POST /v1/users/default/login',
      'POST /v1/users/default/password/reset',
      'POST /v1/edge-mgmt/edgehosts/current/link',
      'POST /v1/edge-mgmt/cluster/profiles/variables/validate',
      'POST /v1/edge-mgmt/cluster',
      'GET /v1/edge-mgmt/events/lifecycle',
      'POST /v1/edge-mgmt/edgehosts/current/actions/upload-content',
      'PATCH /v1/system/admin/password/reset',
    ]) {
      expect(used).toContain(call)
    }
  })
})
