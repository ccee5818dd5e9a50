import { describe, expect, it } from 'vitest'
import { runnerOf, timed } from '../../lab/testing/node-runner.ts'
import { readScenario } from '../../lab/scenario.ts'
import { startReadyLab, type TestLab } from '../../lab/testing/site.ts'
import { planSchema } from '../../../shared/plan/index.ts'
import { AppError } from '../../../shared/errors/index.ts'
import { examplePlan } from '../../lab/testing/lab-client.ts'
import type { RemedyContext } from './remedy.ts'
import { setMtu } from './set-mtu.ts'

async function withLab(work: (test: TestLab, context: RemedyContext) => Promise<void>): Promise<void> {
  const test = await startReadyLab({
    scenario: readScenario(
      'name: test\nagent: { networkApi: false }\nmachines: { n1: { nic: { mtu: 9000 } } }',
      't.yaml',
    ),
  })
  try {
    const plan = planSchema.parse(examplePlan())
    const [node] = plan.nodes
    if (node === undefined) throw new TypeError('the plan has a node')
    await work(test, {
      plan,
      node,
      runner: await runnerOf(test, 'n1'),
      reopen: () => runnerOf(test, 'n1'),
      clock: test.clock,
      signal: new AbortController().signal,
      mtu: 1500,
    })
  } finally {
    await test.lab.stop()
  }
}

const mtuOf = ({ lab }: TestLab) => lab.snapshot().nodes.find(({ name }) => name === 'n1')?.nic.mtu

describe('setting the MTU of a node', () => {
  it('shows it first, sets it, and reads it back over a new connection', () =>
    withLab(async (test, context) => {
      const plan = await setMtu.plan(context)
      expect(plan).toMatchObject({
        kind: 'offered',
        lines: expect.arrayContaining(['-MTU 9000', '+MTU 1500']) as string[],
      })
      expect(mtuOf(test)).toBe(9000)
      const [outcome] = await timed(test, setMtu.apply(context, plan))
      expect(outcome).toMatchObject({ kind: 'done', seen: expect.stringContaining('MTU 1500') as string })
      expect(mtuOf(test)).toBe(1500)
      expect(await setMtu.plan(context)).toMatchObject({ kind: 'not-needed' })
    }))

  it('is taken back by the node when it is not reached afterwards', () =>
    withLab(async (test, context) => {
      const plan = await setMtu.plan(context)
      const deaf = new AppError({ code: 'NO_ANSWER', title: 'n1 does not answer.', isTransient: true })
      const given = {
        ...context,
        reopen: () => (mtuOf(test) === 9000 ? runnerOf(test, 'n1') : Promise.reject(deaf)),
      }
      const [outcome, waited] = await timed(test, setMtu.apply(given, plan))
      expect(outcome).toMatchObject({
        kind: 'failed',
        reason: expect.stringContaining('put its old MTU back') as string,
      })
      expect(waited).toBeLessThan(60_000)
      expect(mtuOf(test)).toBe(9000)
    }))

  it('is not offered without a value, or where the node cannot be opened anew', () =>
    withLab(async (test, { mtu: _mtu, reopen: _reopen, ...context }) => {
      expect(
        await setMtu.plan({ ...context, reopen: _reopen ?? (() => runnerOf(test, 'n1')) }),
      ).toMatchObject({
        kind: 'not-offered',
        reason: expect.stringContaining('nic.mtu') as string,
      })
      expect(await setMtu.plan({ ...context, mtu: 1500 })).toMatchObject({ kind: 'not-offered' })
      expect(mtuOf(test)).toBe(9000)
    }))
})
