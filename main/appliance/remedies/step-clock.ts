import { problemOf, type Remedy, type RemedyContext, type RemedyPlan } from './remedy.ts'

/** Less than this is no reason to step; what a round trip over SSH cannot tell. Milliseconds. */
const tolerance = 500
const tries = 3

/** Sets the clock of a node to that of the others (the median), where a time server does not do it. */
export const stepClock: Remedy = {
  id: 'step-clock',
  checkIds: ['clock.skew'],
  isDestructive: false,
  plan: look,
  async apply(context, plan) {
    const { clock, runner, signal, median = 0 } = context
    if (plan.kind !== 'offered') return { kind: 'refused', reason: plan.reason }
    let late = 0
    let after: RemedyPlan = plan
    // What the command needs until it takes effect is not known before: seen afterwards, and added at the next try.
    for (let attempt = 0; attempt < tries && after.kind === 'offered'; attempt += 1) {
      const target = ((clock.now() + median + late) / 1000).toFixed(3)
      const problem = problemOf(
        await runner.run('date', ['-u', '-s', `@${target}`], { signal, deadlineSeconds: 20, asRoot: true }),
      )
      if (problem !== undefined) return { kind: 'failed', reason: `date -s: ${problem}` }
      after = await look(context)
      if (after.kind === 'offered') late -= Number(after.seen)
    }
    return after.kind === 'not-needed'
      ? { kind: 'done', seen: after.reason }
      : { kind: 'failed', reason: 'lines' in after ? `Read back: ${after.lines.join('; ')}` : after.reason }
  },
}

async function look({ node, runner, clock, signal, median }: RemedyContext): Promise<RemedyPlan> {
  if (median === undefined)
    return {
      kind: 'not-offered',
      reason: 'The clocks of the other nodes were not read, so there is nothing to set it to.',
    }
  const before = clock.now()
  const result = await runner.run('date', ['+%s.%N'], { signal, deadlineSeconds: 20 })
  const after = clock.now()
  const seconds = result.kind === 'ended' ? Number(result.stdout.trim()) : NaN
  if (problemOf(result) !== undefined || !Number.isFinite(seconds) || seconds === 0)
    return {
      kind: 'not-offered',
      reason: `The clock of ${node.name} could not be read: ${problemOf(result) ?? 'date printed no number'}`,
    }
  const offset = seconds * 1000 - (before + after) / 2 - median
  if (Math.abs(offset) <= tolerance + (after - before) / 2)
    return {
      kind: 'not-needed',
      reason: `The clock of ${node.name} is ${inSeconds(offset)} off the other nodes.`,
    }
  return {
    kind: 'offered',
    lines: [
      `clock of ${node.name}`,
      `-${new Date(seconds * 1000).toISOString()} (${inSeconds(offset)} off the other nodes)`,
      `+${new Date((before + after) / 2 + median).toISOString()}`,
    ],
    seen: String(offset),
  }
}

function inSeconds(milliseconds: number): string {
  return `${(milliseconds / 1000).toFixed(1)} s`
}
