import { execFile, execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync } from 'node:fs'
import { appendFile, readdir, rm, statfs } from 'node:fs/promises'
import { createServer, connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { tmpdir } from 'node:os'
import process from 'node:process'
import { promisify } from 'node:util'
import { describe, expect, test, vi } from 'vitest'
import { logIn } from '../../main/lab/testing/lab-client.ts'
import { openIdentityStore } from '../../main/storage/index.ts'
import {
  expectDone,
  expectFailure,
  expectInstalledOnce,
  readEvents,
  threeNodes,
  withSite,
  type PlanInput,
  type TestSite,
} from './harness.ts'

/** Milliseconds; most of it is waiting for a place, see withSite. */
const timeout = 400_000

const clusterPath = '/v1/edge-mgmt/cluster'

async function expectResumes(site: TestSite, plan: PlanInput = threeNodes()): Promise<void> {
  await expectDone(site.run('--resume'))
  await expectInstalledOnce(site, plan)
  await readEvents(site)
}

/** Requests that may have altered something: everything but reading and logging in. */
function changesIn(site: TestSite): string[] {
  return site.exchanges
    .filter(({ method, path }) => method !== 'GET' && !/\/(sys)?login$|\/validate$/.test(path))
    .map(({ method, path }) => `${method} ${path}`)
}

function node(plan: PlanInput, index: number): PlanInput['nodes'][number] {
  const found = plan.nodes[index]
  if (found === undefined) throw new Error(`no node ${String(index)}`)
  return found
}

function changedPlan(change: (plan: PlanInput) => void): PlanInput {
  const plan = threeNodes()
  change(plan)
  return plan
}

/** Simulated ones, from now. */
async function minutesPass(site: TestSite, minutes: number): Promise<void> {
  await site.lab.clock.sleep(minutes * 60_000 + 1000)
}

describe.concurrent('accounts', { timeout }, () => {
  test('a wrong password is tried once, and the right one completes the run', () =>
    withSite({ initialNodePassword: 'Another-Password-1' }, async (site) => {
      await expectFailure(site.run(), { code: 'LOGIN_REFUSED', node: 'n1', phase: 'connect-nodes' })
      const { failedLogins, lockOuts } = site.lab.report()
      expect(failedLogins.map(({ node: name, attempts }) => [name, attempts]).toSorted()).toEqual(
        ['n1', 'n1', 'n2', 'n2', 'n3', 'n3'].map((name) => [name, 1]),
      )
      expect(lockOuts).toBe(0)
      expect(changesIn(site)).toEqual([])

      const plan = changedPlan(({ access }) => {
        access.initialPassword = { env: 'NODE_PASSWORD' }
      })
      await site.writePlan(plan)
      site.env['NODE_PASSWORD'] = 'Another-Password-1'
      const before = site.exchanges.length
      // A third refusal could lock the account: nothing is tried before that is over.
      await expectFailure(site.run('--resume'), {
        code: 'LOGIN_HELD_BACK',
        node: 'n1',
        phase: 'connect-nodes',
      })
      expect(site.exchanges.slice(before).filter(({ path }) => path.endsWith('/login'))).toEqual([])
      await minutesPass(site, 15)
      await expectResumes(site, plan)
      const resumed = (await readEvents(site)).find((event) => event.type === 'run-resumed')
      expect(resumed?.changedInputs).not.toEqual([])
    }))

  test('a locked account is left alone until the lock is over', () =>
    withSite({}, async (site) => {
      await vi.waitFor(
        () => expect(site.lab.snapshot().nodes.every(({ stage }) => stage === 'ready')).toBe(true),
        10_000,
      )
      for (let attempt = 0; attempt < 5; attempt += 1) {
        await logIn(site.lab, 'n2', `Wrong-${String(attempt)}`).catch(() => undefined)
      }
      const before = site.exchanges.length
      await expectFailure(site.run(), {
        code: 'LOGIN_LOCKED',
        node: 'n2',
        phase: 'connect-nodes',
        says: [/Wait 15 minutes/],
      })
      const attempts = site.exchanges
        .slice(before)
        .filter((one) => one.node === 'n2' && one.path.endsWith('/login'))
      expect(attempts).toHaveLength(1)
      await vi.waitFor(
        () => expect(site.lab.snapshot().nodes.some(({ isLocked }) => isLocked)).toBe(false),
        20_000,
      )
      await minutesPass(site, 15)
      await expectDone(site.run('--resume'))
      expect(site.lab.report()).toMatchObject({ clusterPosts: 1, clusterAccepted: 1, lockOuts: 1 })
    }))
})

describe.concurrent('the network', { timeout }, () => {
  test('a node that is away for a while is waited for', () =>
    withSite(
      {
        faults: [{ kind: 'unreachable', node: 'n2', after: { event: 'node-password-changed' }, for: '40s' }],
      },
      async (site) => {
        const events = await expectDone(site.run())
        expect(events.some((event) => event.type === 'retry' && event.node === 'n2')).toBe(true)
        await expectInstalledOnce(site)
      },
    ))

  test('a node that stays away stops the run, which goes on when it is back', () =>
    withSite(
      { faults: [{ kind: 'unreachable', node: 'n2', after: { event: 'node-password-changed' }, for: '6m' }] },
      async (site) => {
        const { events } = await site.run().finished()
        const last = events.at(-1)
        expect(last).toMatchObject({ type: 'run-finished', outcome: 'failed' })
        const errors = last?.type === 'run-finished' ? last.errors : []
        expect(errors.map(({ node: name, code }) => [name, code])).toEqual([
          ['n2', expect.stringMatching(/UNREACHABLE|CONNECTION_LOST|NO_ANSWER/)],
        ])
        expect(errors[0]?.remedies).not.toEqual([])
        await expectResumes(site)
      },
    ))

  test('a node that restarts in the middle is waited for', () =>
    withSite({ faults: [{ kind: 'reboot', node: 'n3', after: { event: 'node-linked' } }] }, async (site) => {
      await expectDone(site.run())
      await expectInstalledOnce(site)
    }))

  test.each([
    ['certificate-changed', 'TLS_IDENTITY_CHANGED'],
    ['host-key-changed', 'SSH_IDENTITY_CHANGED'],
  ] as const)('%s: nothing is sent, both fingerprints are shown', (kind, code) =>
    withSite({ faults: [{ kind, node: 'n2', after: { event: 'node-password-changed' } }] }, async (site) => {
      const hostNames = () => site.lab.snapshot().nodes.map(({ hostName }) => hostName)
      const before = hostNames()
      const { exitCode, events } = await site.run().finished()
      expect(exitCode).toBe(1)
      const last = events.at(-1)
      const error = last?.type === 'run-finished' ? last.errors[0] : undefined
      expect(error).toMatchObject({ code, node: 'n2' })
      expect(
        new Set(error?.detail.match(/SHA256:\S{20,}|(?:[0-9A-F]{2}:){31}[0-9A-F]{2}/g)).size,
        error?.detail,
      ).toBe(2)
      expect(error?.remedies.join(' ')).toMatch(/identity forget|known/)
      expect(hostNames()[1]).toBe(before[1])
      // The same again: it does not heal by itself.
      expect((await site.run('--resume').ended).exitCode).toBe(1)
      const store = await openIdentityStore(join(site.stateFolder, 'practice', 'rig', 'identities.json'))
      await store.forget('tls', { host: '10.10.200.12', port: 5080 })
      await store.forget('ssh', { host: '10.10.200.12', port: 22 })
      await expectResumes(site)
    }),
  )
})

describe.concurrent('answers', { timeout }, () => {
  test('expired link tokens are replaced by fresh ones', () =>
    withSite({ faults: [{ kind: 'link-token-expired', times: 3 }] }, async (site) => {
      await expectDone(site.run())
      await expectInstalledOnce(site)
      expect(site.lab.report().expiredTokens).toBe(3)
    }))

  test('tokens that are all dead stop the run, which goes on with a good one', () =>
    withSite({ faults: [{ kind: 'link-token-expired', times: 11 }] }, async (site) => {
      const { exitCode, events } = await site.run().finished()
      expect(exitCode).toBe(1)
      const last = events.at(-1)
      const errors = last?.type === 'run-finished' ? last.errors : []
      expect(errors.length).toBeGreaterThan(0)
      for (const error of errors)
        expect(error).toMatchObject({ phase: 'link-hosts', node: expect.any(String) as string })
      expect(site.lab.report().clusterPosts).toBe(0)
      await expectResumes(site)
    }))

  test('a passing error of the appliance heals', () =>
    withSite(
      {
        faults: [500, 502, 503].map((status, index) => ({
          kind: 'http-error' as const,
          status,
          times: 1,
          onRequest: { path: '/v1/edge-mgmt/edgehosts/current', nth: 2 + 2 * index },
        })),
      },
      async (site) => {
        const events = await expectDone(site.run())
        expect(events.filter((event) => event.type === 'retry').length).toBeGreaterThan(0)
        await expectInstalledOnce(site)
      },
    ))

  test('a refused cluster is not asked for a second time', () =>
    withSite(
      { faults: [{ kind: 'http-error', status: 500, onRequest: { method: 'POST', path: clusterPath } }] },
      async (site) => {
        const posts = () =>
          site.exchanges.filter(({ method, path }) => method === 'POST' && path === clusterPath)
        await expectFailure(site.run(), {
          code: 'CLUSTER_REFUSED',
          node: 'n1',
          phase: 'deploy-cluster',
          says: [/the practice lab answers with an error here/],
        })
        expect(posts()).toHaveLength(1)
        expect(site.lab.snapshot().clusterState).toBe('none')
        await expectResumes(site)
        expect(posts()).toHaveLength(2)
      },
    ))

  test('a cluster whose answer was lost is not asked for a second time', () =>
    withSite({ faults: [{ kind: 'post-lost-answer' }] }, async (site) => {
      await expectDone(site.run())
      await expectInstalledOnce(site)
    }))

  test.each(['html', 'broken-json', 'truncated'] as const)(
    '%s instead of an answer: read again, then told',
    (body) =>
      withSite(
        {
          faults: [
            { kind: 'garbage', body, node: 'n2', times: 6, onRequest: { path: '/v1/edge-mgmt/settings' } },
          ],
        },
        async (site) => {
          const events = await expectFailure(site.run(), {
            code: body === 'truncated' ? 'CONNECTION_LOST' : 'BAD_ANSWER',
            node: 'n2',
            phase: 'connect-nodes',
          })
          expect(events.filter((event) => event.type === 'retry' && event.node === 'n2')).toHaveLength(4)
          expect(changesIn(site)).toEqual([])
          // The sixth one is met by the resumed run, and heals.
          await expectResumes(site)
        },
      ),
  )

  test('an upload that is cut is sent again and arrives whole', () =>
    withSite({ faults: [{ kind: 'upload-cut', node: 'n1' }] }, async (site) => {
      await expectDone(site.run())
      await expectInstalledOnce(site)
      expect(site.lab.report()).toMatchObject({ uploads: 2, uploadsCut: 1 })
    }))

  test('an API of the console that comes late is waited for', () =>
    withSite({ faults: [{ kind: 'console-late', by: '5m' }] }, async (site) => {
      await expectDone(site.run())
      await expectInstalledOnce(site)
    }))

  test('content that takes long gives a warning and is waited for', () =>
    withSite(
      { faults: [{ kind: 'sync-stalls', node: 'n2', after: { event: 'node-linked' }, for: '24m' }] },
      async (site) => {
        const events = await expectDone(site.run())
        const warnings = events.flatMap((event) => (event.type === 'warning' ? [event] : []))
        expect(warnings.filter(({ node: name }) => name === 'n2')).toMatchObject([
          { phase: 'sync-content', text: expect.stringMatching(/longer than usual/) as string },
        ])
        await expectInstalledOnce(site)
      },
    ))

  test('a deployment that fails is told with its reason, and not started a second time', () =>
    withSite(
      { faults: [{ kind: 'deploy-fails', fraction: 0.3, reason: 'the storage pool is too small' }] },
      async (site) => {
        const failure = {
          code: 'DEPLOYMENT_FAILED',
          node: 'n1',
          phase: 'watch-deployment',
          says: [/the storage pool is too small/],
        }
        await expectFailure(site.run(), failure)
        await expectFailure(site.run('--resume'), failure)
        expect(site.lab.report()).toMatchObject({ clusterPosts: 1, clusterAccepted: 1 })
      },
    ))
})

describe.concurrent('a site that is not as planned', { timeout }, () => {
  const blocked = async (site: TestSite, name: string, says: RegExp) => {
    await expectFailure(site.run(), {
      exitCode: 3,
      code: 'CHECK_BLOCKS',
      node: name,
      phase: 'check-nodes',
      says: [says],
    })
    expect(changesIn(site)).toEqual([])
  }

  test('a node of another cluster blocks, and nothing is changed', () =>
    withSite({ faults: [{ kind: 'already-in-cluster', node: 'n3' }] }, (site) =>
      blocked(site, 'n3', /earlier-cluster/),
    ))

  test('a missing disk blocks, and the disks that are there are named', () =>
    withSite({ faults: [{ kind: 'disk-missing', node: 'n2' }] }, (site) =>
      blocked(site, 'n2', /disks: \/dev\/sda/),
    ))

  test.each([
    ['mac', '02:00:00:00:00:99'],
    ['edgeHostId', 'another-machine'],
  ] as const)('another machine than the plan means (%s) blocks; a corrected plan goes on', (key, value) => {
    // The lab makes its machines from the plan: that they differ is written afterwards.
    const plan = changedPlan((changed) => {
      node(changed, 1).expect = { [key]: value }
    })
    return withSite({}, async (site) => {
      await site.writePlan(plan)
      await blocked(site, 'n2', new RegExp(value))
      await site.writePlan(threeNodes())
      await expectResumes(site)
    })
  })

  test('a virtual IP address that answers is not used', () =>
    withSite({}, async (site) => {
      const squatter = await squatOn(site, '10.10.200.100', 22)
      try {
        await expectFailure(site.run(), {
          code: 'VIP_IN_USE',
          phase: 'deploy-cluster',
          says: [/10\.10\.200\.100/, /port 22/],
        })
        expect(site.lab.report().clusterPosts).toBe(0)
        squatter.leave()
        await expectResumes(site)
      } finally {
        await squatter.stop()
      }
    }))
})

/** Stands between the runs and the lab's switch, and answers at one address until it leaves. */
async function squatOn(
  site: TestSite,
  host: string,
  port: number,
): Promise<{ leave(): void; stop(): Promise<void> }> {
  let isThere = true
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined)
    socket.once('data', (line) => {
      if (isThere && line.toString('latin1') === `${host}:${String(port)}\n`) {
        socket.write('OK\n')
        return
      }
      const onward = connect(site.lab.description.switchPort, '127.0.0.1')
      sockets.add(onward)
      onward.on('error', () => socket.destroy())
      onward.write(line)
      socket.pipe(onward)
      onward.pipe(socket)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  await site.writeDescription({ ...site.lab.description, switchPort: address.port })
  return {
    leave: () => {
      isThere = false
    },
    stop: async () => {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

describe.concurrent('plans and runs', { timeout }, () => {
  test('a virtual IP address that is a node is refused with line and column', () =>
    withSite({}, async (site) => {
      await site.writePlan(changedPlan((plan) => (plan.site.vip = '10.10.200.12')))
      const { exitCode, stdout, stderr } = await site.run().ended
      expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: [] })
      expect(stderr).toMatch(/plan\.yaml:\d+:\d+ site\.vip: .*n2/)
      expect(site.exchanges).toEqual([])
      expect(await readdir(site.stateFolder)).toEqual([])
    }))

  test('of two runs of one plan the second one is refused', () =>
    withSite({}, async (site) => {
      const first = site.run()
      const begun = new Promise<void>((resolve) => {
        first.onEvent = () => {
          resolve()
        }
      })
      await Promise.race([begun, first.ended])
      const others = [site.run(), site.run('--resume'), site.run('--fresh')].map((run) => run.ended)
      for (const { exitCode, stderr, stdout } of await Promise.all(others)) {
        expect({ exitCode, stdout }).toEqual({ exitCode: 1, stdout: [] })
        expect(stderr).toMatch(/being run already/)
      }
      await expectDone(first)
      await expectInstalledOnce(site)
    }))

  test('what the site cannot follow any more is refused; what it can is told', () =>
    withSite({}, async (site) => {
      await site.runUntilKilled({ event: { type: 'progress', phase: 'watch-deployment' } }).ended
      const before = site.exchanges.length
      await site.writePlan(changedPlan((plan) => (plan.cluster.name = 'renamed')))
      const { exitCode, stderr, stdout } = await site.run('--resume').ended
      expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: [] })
      expect(stderr).toMatch(/cluster\.name/)
      expect(site.exchanges).toHaveLength(before)

      const harmless = changedPlan((plan) => (plan.console.email = 'team@example.com'))
      await site.writePlan(harmless)
      const events = await expectDone(site.run('--resume'))
      expect(events[0]).toMatchObject({ type: 'run-resumed', changedInputs: ['console.email'] })
      await expectInstalledOnce(site, harmless)
    }))

  test('a finished run is not done again, resumed or anew', () =>
    withSite({}, async (site) => {
      await expectDone(site.run())
      const before = changesIn(site)
      const resumed = await site.run('--resume').ended
      expect(resumed.exitCode).toBe(0)
      const events = await expectDone(site.run())
      expect(changesIn(site)).toEqual(before)
      expect(events.filter(({ type }) => type.startsWith('change-'))).toEqual([])
      await expectInstalledOnce(site)
    }))

  test('an unfinished run is not forgotten by accident', () =>
    withSite({}, async (site) => {
      await site.runUntilKilled({ line: 40 }).ended
      const { exitCode, stderr } = await site.run().ended
      expect(exitCode).toBe(2)
      expect(stderr).toMatch(/--resume/)
      await expectDone(site.run('--fresh'))
      await expectInstalledOnce(site)
    }))

  test('a disk that is full stops the run before the next change; it goes on after space was freed', async ({
    skip,
  }) => {
    const disk = mountSmallDisk()
    if (disk === undefined) skip('needs the right to mount a tmpfs (root on Linux)')
    else {
      try {
        await withSite({ stateFolder: disk }, async (site) => {
          const ballast = join(disk, 'ballast')
          const run = site.run()
          let isFull: Promise<void> | undefined
          run.onEvent = (event) => {
            if (event.type !== 'phase-started' || event.phase !== 'link-hosts') return
            isFull = fillDisk(disk, ballast)
          }
          const { exitCode, stderr } = await run.ended
          await isFull
          expect(exitCode).toBe(1)
          expect(stderr).toMatch(/disk of this workstation is full[\s\S]*--resume/)
          await rm(ballast)
          await expectResumes(site)
        })
      } finally {
        execFileSync('/bin/umount', ['--lazy', disk])
        await rm(disk, { recursive: true })
      }
    }
  })
})

/** Takes all the space that is left: almost all of it without writing, the rest until the disk refuses more. */
async function fillDisk(disk: string, ballast: string): Promise<void> {
  const spare = 1024 * 1024
  const { bavail, bsize } = await statfs(disk)
  await promisify(execFile)('/usr/bin/fallocate', ['--length', String(bavail * bsize - spare), ballast])
  await expect(appendFile(ballast, Buffer.alloc(4 * spare))).rejects.toThrow('ENOSPC')
}

/** Just large enough for what a run needs to see free before it begins. */
function mountSmallDisk(): string | undefined {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return undefined
  const disk = mkdtempSync(join(tmpdir(), 'landfall-disk-'))
  const { status } = spawnSync('/bin/mount', ['-t', 'tmpfs', '-o', 'size=256m', 'tmpfs', disk])
  return status === 0 ? disk : undefined
}

describe.concurrent('a dry run', { timeout }, () => {
  test('reads the site, lists every change and makes none', () =>
    withSite({}, async (site) => {
      await vi.waitFor(
        () => expect(site.lab.snapshot().nodes.every(({ stage }) => stage === 'ready')).toBe(true),
        10_000,
      )
      const events = await expectDone(site.run('--dry-run'))
      expect(changesIn(site)).toEqual([])
      expect(await readdir(site.stateFolder, { recursive: true })).toEqual([])
      const planned = (run: typeof events) =>
        run
          .flatMap((event) =>
            event.type === 'change-planned' || event.type === 'change-started'
              ? [`${event.phase} ${event.node ?? ''} ${event.key}`]
              : [],
          )
          .toSorted()
      const dry = planned(events)
      // What it announced is what is then done.
      expect(planned(await expectDone(site.run()))).toEqual(dry)
    }))

  test('of nodes that nobody reaches assumes and lists, sends nothing, and ends soon', async ({ skip }) => {
    if (spawnSync('/usr/bin/unshare', ['-n', 'true']).status !== 0)
      skip('needs the right to make a network namespace')
    await withSite({}, async (site) => {
      const began = performance.now()
      const run = site.landfallWithoutNetwork('run', join(site.folder, 'plan.yaml'), '--dry-run', '--json')
      const events = await expectDone(run)
      expect(performance.now() - began).toBeLessThan(20_000)
      const count = (type: string) => events.filter((event) => event.type === type).length
      expect(count('assumption')).toBeGreaterThan(2)
      expect(count('change-planned')).toBeGreaterThan(8)
      expect(await readdir(site.stateFolder, { recursive: true })).toEqual([])
    })
  })
})
