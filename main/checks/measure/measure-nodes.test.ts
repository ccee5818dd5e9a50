import { afterEach, describe, expect, it } from 'vitest'
import {
  resultOf,
  isBlocking,
  needsAcknowledgement,
  type CheckId,
  type Finding,
} from '../../../shared/checks/index.ts'
import { AppError } from '../../../shared/errors/index.ts'
import type { Plan } from '../../../shared/plan/index.ts'
import { systemClock } from '../../engine/clock.ts'
import { readScenario, startLab } from '../../lab/index.ts'
import { examplePlan } from '../../lab/testing/lab-client.ts'
import { runnerOf, timed } from '../../lab/testing/node-runner.ts'
import { startReadyLab, type TestLab } from '../../lab/testing/site.ts'
import type { ProgramRunner } from '../../network/programs/program-runner.ts'
import {
  checkMeasurements,
  measureNodes,
  type MeasuredNode,
  type MeasureOptions,
  type Measurements,
} from './index.ts'

const labs: TestLab[] = []
afterEach(async () => {
  for (const test of labs.splice(0)) await test.lab.stop()
})

function sitePlan(nodeCount = 3, change: (plan: Record<string, unknown>) => void = () => undefined): Plan {
  return examplePlan((plan) => {
    Object.assign(plan['site'] as object, {
      gateway: '10.10.200.1',
      dns: { primary: '10.10.200.2', alternate: '10.10.200.3', searchDomain: 'rig.example.com' },
      ntp: ['10.10.200.2'],
      ...(nodeCount > 100 ? { network: '10.10.200.0/22' } : {}),
    })
    change(plan)
  }, nodeCount)
}

async function siteWith(plan: Plan, scenario = ''): Promise<TestLab> {
  const test = await startReadyLab({ plan, scenario: readScenario(`name: test\n${scenario}`, 'test.yaml') })
  labs.push(test)
  return test
}

async function nodesOf(test: TestLab, plan: Plan): Promise<MeasuredNode[]> {
  return await Promise.all(
    plan.nodes.map(async ({ name, address }) => ({
      name,
      address,
      runner: await runnerOf(test, name),
      interface: 'ens160',
      mtu: 1500,
      isControlPlane: true,
    })),
  )
}

async function measure(
  test: TestLab,
  plan: Plan,
  change: Partial<MeasureOptions> = {},
): Promise<{ measurements: Measurements; findings: Finding[] }> {
  const [measurements] = await timed(
    test,
    measureNodes({
      plan,
      nodes: change.nodes ?? (await nodesOf(test, plan)),
      clock: test.clock,
      signal: new AbortController().signal,
      isDiskSpeedAsked: true,
      ...change,
    }),
  )
  return { measurements, findings: checkMeasurements(plan, measurements) }
}

/** What did not pass, and is not left out rightly. */
function notGood(findings: readonly Finding[]): string[] {
  return findings
    .filter(({ state }) => state === 'fail' || state === 'could-not-run')
    .map(({ id, target, state, measured }) => `${id} ${target} ${state}: ${measured}`)
}

describe('measurements of a practice lab', () => {
  it('pass on healthy nodes, and find everything that is asked', async () => {
    const plan = sitePlan()
    const test = await siteWith(plan)
    const streamed: Finding[] = []
    const { measurements, findings } = await measure(test, plan, {
      onFindings: (some) => streamed.push(...some),
    })
    expect(notGood(findings)).toEqual([])
    const ids = new Set(findings.map(({ id }) => id))
    expect([...ids].toSorted()).toEqual([
      ...['clock.skew', 'dns.forward-reverse', 'dns.registry', 'dns.servers-answer', 'dns.wildcard'],
      ...['net.duplicate-dhcp', 'net.gateway-answers', 'net.ip-collision', 'net.ip-free', 'net.latency'],
      ...['net.loss', 'net.majority-group', 'net.mtu-path', 'net.ports-node', 'net.same-l2'],
      ...['node.disk-speed', 'ntp.servers-answer', 'proxy.reach', 'reg.reach', 'ws.clock'],
    ])
    // As it went and at the end the same, each once.
    const key = ({ id, target }: Finding) => `${id} ${target}`
    expect(streamed.map(key).toSorted()).toEqual(findings.map(key).toSorted())
    expect(new Set(findings.map(key)).size).toBe(findings.length)
    for (const finding of streamed) expect(findings).toContainEqual(finding)
    expect(checkMeasurements(plan, JSON.parse(JSON.stringify(measurements)) as Measurements)).toEqual(
      findings,
    )
  })

  it('name what is wrong: each fault its check, and nothing else', async () => {
    const plan = sitePlan(4, (one) => {
      ;(one['site'] as Record<string, unknown>)['ntp'] = ['10.10.200.2', '10.10.200.4']
    })
    const test = await siteWith(
      plan,
      `
machines: { n2: { clock: { offsetSeconds: 0.9 } }, n3: { clock: { offsetSeconds: -86400 } } }
network:
  links:
    - { from: n4, mtu: 1450 }
    - { from: n1, to: n2, isOneWay: true, lossPercent: 20, roundTripMilliseconds: 150 }
    - { from: n2, to: n3, isOneWay: true, blockedPorts: [6443] }
    - { from: n3, to: n2, isOneWay: true, blockedPorts: [3370] }
    - { from: n1, to: n3, isOneWay: true, isRouted: true }
  deadDns: [10.10.200.3]
  deadNtp: [10.10.200.2, 10.10.200.4]
  hasWildcardDns: true
  diskMilliseconds: 23
`,
    )
    const { findings, measurements } = await measure(test, plan)
    const bad = findings.filter(({ state }) => state === 'fail' || state === 'could-not-run')
    const table = bad.map(({ id, target, state, severity, measured }) =>
      [id, target, state, severity ?? '', measured].join(' | '),
    )
    const everyNode = (row: (name: string) => string) => ['n1', 'n2', 'n3', 'n4'].map(row)
    const others = ['n1', 'n2', 'n3']
    expect(table.toSorted()).toEqual(
      [
        'clock.skew | n2 | fail | warn | 0.900 s ahead of the median, measured to ± 0.000 s',
        'clock.skew | n3 | fail | block | 24.0 h behind the median, measured to ± 0.000 s',
        ...everyNode(
          (name) =>
            `dns.servers-answer | ${name} | fail |  | 10.10.200.2 answers (NOERROR); 10.10.200.3: no answer`,
        ),
        ...everyNode(
          (name) => `ntp.servers-answer | ${name} | fail |  | 10.10.200.2: no answer; 10.10.200.4: no answer`,
        ),
        ...everyNode(
          (name) =>
            `node.disk-speed | ${name} | fail | warn | 23.0 ms (99 % of 150 writes by dd in /usr/local)`,
        ),
        ...others.flatMap((name) => [
          `net.mtu-path | ${name} → n4 | fail |  | 1500 bytes do not pass, 1450 pass`,
          `net.mtu-path | n4 → ${name} | fail |  | 1500 bytes do not pass, 1450 pass`,
        ]),
        'net.latency | n1 → n2 | fail | block | 150 ms on average (150 ms to 150 ms)',
        'net.loss | n1 → n2 | fail |  | 20 % lost (4 of 20)',
        'net.ports-node | n2 → n3 | fail | block | no answer from 6443 (Kubernetes API)',
        'net.ports-node | n3 → n2 | fail | warn | no answer from 3370 (storage, LINSTOR controller)',
        'net.same-l2 | n1 → n3 | fail |  | its packets go through the router 10.10.200.1',
      ]
        .concat(table.filter((row) => row.startsWith('dns.wildcard')))
        .toSorted(),
    )
    const wildcards = bad.filter(({ id }) => id === 'dns.wildcard')
    expect(wildcards).toHaveLength(4)
    for (const { measured } of wildcards) {
      expect(measured).toMatch(/^10\.10\.200\.2 says that landfall-[0-9a-f]{12}\.rig\.example\.com is /u)
    }
    const skew = bad.find(({ id, target }) => id === 'clock.skew' && target === 'n2')
    expect(skew).toMatchObject({ state: 'fail', severity: 'warn' })
    expect(measurements.isFullMesh).toBe(true)
    const blocking = findings.map((finding) => resultOf(finding, 0)).filter(isBlocking)
    expect(blocking.map(({ id }) => id)).not.toContain('node.disk-speed')
  })

  it('find the second owner of an address, and who has a planned one', async () => {
    const plan = sitePlan(3, (one) => {
      const nodes = one['nodes'] as Record<string, unknown>[]
      for (const [index, address] of ['10.10.200.70', '10.10.200.71'].entries()) {
        const node = nodes[index]
        if (node !== undefined) node['nic'] = { mode: 'static', address }
      }
    })
    const test = await siteWith(
      plan,
      `
extraHosts:
  - { address: 10.10.200.70, mac: '52:54:00:00:00:70' }
  - { address: ${plan.nodes[2]?.address ?? ''}, mac: '52:54:00:00:00:99' }
`,
    )
    const only = new Set<CheckId>(['net.ip-free', 'net.ip-collision'])
    const { findings } = await measure(test, plan, { only })
    expect(findings.map(({ id, target, state }) => `${id} ${target} ${state}`).toSorted()).toEqual([
      'net.ip-collision n1 pass',
      'net.ip-collision n2 pass',
      'net.ip-collision n3 fail',
      'net.ip-free n1 fail',
      'net.ip-free n2 pass',
      'net.ip-free n3 skipped',
    ])
    const taken = findings.find(({ id, target }) => id === 'net.ip-free' && target === 'n1')
    expect(taken?.measured).toBe('52:54:00:00:00:70 answers for 10.10.200.70')
    const collision = findings.find(({ id, target }) => id === 'net.ip-collision' && target === 'n3')
    expect(collision?.measured).toContain('52:54:00:00:00:99')
  })

  it('name the node that nobody reaches', async () => {
    const plan = sitePlan()
    const test = await siteWith(plan)
    const nodes = await nodesOf(test, plan)
    const links =
      'network: { links: [{ from: n3, lossPercent: 100, blockedPorts: [22, 5080, 443, 6443, 30003, 2379, 2380, 10250, 3366, 3367, 3370] }] }'
    const broken = await siteWith(plan, links)
    expect(nodes).toHaveLength(3)
    const { findings } = await measure(broken, plan)
    const majority = findings.find(({ id }) => id === 'net.majority-group')
    expect(majority).toMatchObject({
      state: 'fail',
      measured: 'n3 is the odd one out: it does not reach n1, n2, and is not reached by n1, n2',
    })
  })

  it('say that they could not run for a node that is gone, restarts or is slow, and end', async () => {
    const plan = sitePlan()
    const test = await siteWith(plan)
    const nodes = await nodesOf(test, plan)
    const lost = new AppError({
      code: 'SSH_LOST',
      title: 'The SSH connection to n2 was lost.',
      isTransient: true,
    })
    let calls = 0
    const restarts: ProgramRunner = {
      place: 'n2',
      platform: 'linux',
      run: async (program, args, options) => {
        calls += 1
        // Its clock is told; in the middle of the script it is gone.
        if (program !== 'date') throw lost
        return (await nodes[1]?.runner.run(program, args, options)) ?? { kind: 'missing' }
      },
    }
    const late: ProgramRunner = {
      place: 'n3',
      platform: 'linux',
      run: () => Promise.resolve({ kind: 'killed', reason: 'deadline', stdout: '', stderr: '' }),
    }
    const { findings } = await measure(test, plan, {
      nodes: nodes.map((node, index) => ({
        ...node,
        runner: [node.runner, restarts, late][index] ?? node.runner,
      })),
    })
    expect(calls).toBeGreaterThan(1)
    const of = (target: string) => findings.filter((finding) => finding.target === target)
    for (const finding of [...of('n2'), ...of('n2 → n1'), ...of('n3'), ...of('n3 → n1')]) {
      expect([finding.id, finding.state]).not.toEqual([finding.id, 'fail'])
      if (finding.id.startsWith('net.latency')) expect(finding.state).toBe('could-not-run')
    }
    expect(findings.find(({ id, target }) => id === 'clock.skew' && target === 'n2')?.state).toBe('pass')
    expect(findings.find(({ id, target }) => id === 'clock.skew' && target === 'n3')).toMatchObject({
      state: 'could-not-run',
      measured: 'unknown: date did not end within 10 s',
    })
    expect(findings.find(({ id, target }) => id === 'net.latency' && target === 'n2 → n1')).toMatchObject({
      state: 'could-not-run',
      measured: 'The SSH connection to n2 was lost.',
    })
    expect(findings.find(({ id }) => id === 'net.majority-group')).toMatchObject({
      state: 'could-not-run',
      measured: 'n2, n3 could not be asked',
    })
  })

  it('are given up with the reason of the signal', async () => {
    const plan = sitePlan()
    const test = await siteWith(plan)
    const stop = new AbortController()
    const nodes = await nodesOf(test, plan)
    const stopping: ProgramRunner = {
      place: 'n1',
      platform: 'linux',
      run: (_program, _args, { signal }) => {
        stop.abort(new Error('stopped by the operator'))
        return Promise.reject(signal.reason as Error)
      },
    }
    const measuring = measure(test, plan, {
      signal: stop.signal,
      nodes: nodes.map((node) => (node.name === 'n1' ? { ...node, runner: stopping } : node)),
    })
    await expect(measuring).rejects.toThrow('stopped by the operator')
  })

  it('of clocks hold on a rehearsal that runs two thousand times as fast', async () => {
    const plan = sitePlan()
    const scenario = readScenario(
      'name: fast\nmachines: { n3: { clock: { offsetSeconds: 90000 } } }\n',
      'fast.yaml',
    )
    const lab = await startLab({ plan, timeScale: 2000, scenario })
    try {
      await expect
        .poll(() => lab.snapshot().nodes.every(({ stage }) => stage === 'ready'), { timeout: 20_000 })
        .toBe(true)
      const nodes = await Promise.all(
        plan.nodes.map(async ({ name, address }) => ({
          ...{ name, address, interface: 'ens160', mtu: 1500, isControlPlane: true },
          runner: await runnerOf({ lab } as TestLab, name),
        })),
      )
      const only = new Set<CheckId>(['clock.skew', 'ws.clock'])
      const signal = new AbortController().signal
      const measurements = await measureNodes({
        plan,
        nodes,
        clock: lab.clock,
        signal,
        only,
        isDiskSpeedAsked: false,
      })
      const findings = checkMeasurements(plan, measurements)
      expect(findings.map(({ target, state }) => `${target} ${state}`)).toEqual([
        'n1 pass',
        'n2 pass',
        'n3 fail',
        'workstation pass',
      ])
    } finally {
      await lab.stop()
    }
  }, 40_000)

  it('of a hundred nodes ask a bounded part, say so, and take at most five times as long as of three', async () => {
    const took: number[] = []
    for (const count of [3, 100]) {
      const plan = sitePlan(count)
      const test = await siteWith(plan)
      const nodes = await nodesOf(test, plan)
      const [measurements, milliseconds] = await timed(
        test,
        measureNodes({
          ...{ plan, nodes, clock: test.clock, isDiskSpeedAsked: false },
          signal: new AbortController().signal,
          nodes: nodes.map((node, index) => ({ ...node, isControlPlane: index < 3 })),
        }),
      )
      took.push(milliseconds)
      const findings = checkMeasurements(plan, measurements)
      expect(notGood(findings)).toEqual([])
      if (count === 100) {
        expect(findings.filter(({ id }) => id === 'net.loss')).toHaveLength(100)
        const asked = measurements.nodes.map(({ peers }) => peers.length)
        expect(Math.max(...asked.slice(1))).toBeLessThanOrEqual(8)
        expect(asked[0]).toBe(99)
        expect(findings.find(({ id, target }) => id === 'net.loss' && target === 'n50')?.evidence).toContain(
          '5 of 99 nodes were asked',
        )
        expect(findings.some((finding) => needsAcknowledgement(resultOf(finding, 0)))).toBe(false)
      }
    }
    const [three = 0, hundred = 0] = took
    expect(hundred).toBeLessThanOrEqual(5 * three)
  }, 120_000)

  it('use the clock that they are given, and not more than they are asked for', async () => {
    const plan = sitePlan()
    const test = await siteWith(plan)
    const programs: string[] = []
    const nodes = (await nodesOf(test, plan)).map((node): MeasuredNode => ({
      ...node,
      runner: {
        ...node.runner,
        run: (program, args, options) => {
          programs.push(program)
          return node.runner.run(program, args, options)
        },
      },
    }))
    const { findings } = await measure(test, plan, { nodes, only: new Set<CheckId>(['clock.skew']) })
    expect(new Set(programs)).toEqual(new Set(['date']))
    expect(new Set(findings.map(({ id }) => id))).toEqual(new Set(['clock.skew']))
    // By our own clock the lab's nodes are years ahead; they agree with each other all the same.
    const real = await measure(test, plan, {
      nodes,
      clock: systemClock,
      only: new Set<CheckId>(['clock.skew', 'ws.clock']),
    })
    expect(real.findings.map(({ id, state }) => `${id} ${state}`)).toEqual([
      'clock.skew pass',
      'clock.skew pass',
      'clock.skew pass',
      'ws.clock fail',
    ])
  })
})
