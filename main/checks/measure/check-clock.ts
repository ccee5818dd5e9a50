import type { Finding } from '../../../shared/checks/index.ts'
import type { ClockReading, Measurements, NodeMeasurement } from './measurements.ts'

/** Seconds. From one node to the median of all (checks.md, clock.skew). */
const skew = { warn: 0.5, block: 2 }
/** From this workstation to the median (checks.md, ws.clock). */
const workstation = { warn: 5, block: 60 }

interface KnownClock {
  readonly node: NodeMeasurement
  readonly reading: ClockReading
}

export function clockFindings({ nodes }: Measurements): Finding[] {
  if (nodes.length === 0) return []
  const known = nodes.flatMap((node): KnownClock[] =>
    node.clock.kind === 'read' ? [{ node, reading: node.clock.value }] : [],
  )
  const median = medianOf(known.map(({ reading }) => reading.offset))
  return [
    ...nodes.map((node) => skewFinding(node, nodes.length, known, median)),
    workstationFinding(known, median),
  ]
}

function skewFinding(
  node: NodeMeasurement,
  fleet: number,
  known: readonly KnownClock[],
  median: number,
): Finding {
  const finding = {
    id: 'clock.skew',
    target: node.name,
    threshold: `at most ${skew.warn} s from the median of all nodes; more than ${skew.block} s blocks`,
    evidence: node.clock.source,
    remedy:
      `Set the clock of ${node.name} ("sudo date -s" or its firmware), and give all nodes the same time servers ` +
      '(site.ntp in the plan).',
  } as const
  if (node.clock.kind === 'unread') {
    return { ...finding, state: 'could-not-run', measured: `unknown: ${node.clock.reason}` }
  }
  if (fleet === 1)
    return { ...finding, state: 'skipped', measured: 'one node has no other clock to agree with' }
  if (known.length === 1) {
    return { ...finding, state: 'could-not-run', measured: 'no other node told its time' }
  }
  const reading = node.clock.value
  // In a rehearsal both ends of the comparison may be wrong by what the fast clock adds.
  const allowance = reading.rehearsal + Math.max(...known.map((one) => one.reading.rehearsal))
  const deviation = deviationOf(reading, known, median)
  const size = Math.abs(deviation)
  const worst = uncertaintyOf(reading)
  const measured = `${seconds(size)} ${deviation < 0 ? 'behind' : 'ahead of'} ${known.length === 2 ? 'the other node' : 'the median'}, measured to ± ${seconds(worst)}`
  if (size - allowance > skew.block) return { ...finding, state: 'fail', severity: 'block', measured }
  if (size - allowance > skew.warn) return { ...finding, state: 'fail', severity: 'warn', measured }
  // A node that answers slowly may be far off, and nobody would know.
  if (size + worst > skew.block && worst > skew.warn)
    return { ...finding, state: 'could-not-run', severity: 'block', measured }
  if (worst > skew.warn) return { ...finding, state: 'could-not-run', severity: 'warn', measured }
  return { ...finding, state: 'pass', measured }
}

/** Two nodes differ by the whole of it; half of it each, from their median, would hide it. */
function deviationOf(reading: ClockReading, known: readonly KnownClock[], median: number): number {
  const [first, second] = known
  if (known.length !== 2 || first === undefined || second === undefined) return reading.offset - median
  return 2 * (reading.offset - median)
}

/** What a rehearsal adds says nothing about the nodes. */
function uncertaintyOf({ uncertainty, rehearsal }: ClockReading): number {
  return Math.max(0, uncertainty - rehearsal)
}

function workstationFinding(known: readonly KnownClock[], median: number): Finding {
  const finding = {
    id: 'ws.clock',
    target: 'workstation',
    threshold: `at most ${workstation.warn} s from the median of the nodes; more than ${workstation.block} s blocks`,
    evidence: 'date +%s.%N on all nodes, against the clock of this workstation',
    remedy:
      'Set the clock of this workstation. If the workstation is right, all nodes are wrong: set theirs, and give them time servers.',
  } as const
  if (known.length === 0) return { ...finding, state: 'could-not-run', measured: 'no node told its time' }
  const uncertainty = Math.max(...known.map(({ reading }) => uncertaintyOf(reading)))
  const rehearsal = Math.max(...known.map(({ reading }) => reading.rehearsal))
  const size = Math.abs(median)
  const measured = `${seconds(size)} ${median > 0 ? 'behind' : 'ahead of'} the median of ${known.length} ${known.length === 1 ? 'node' : 'nodes'}, measured to ± ${seconds(uncertainty)}`
  if (size - rehearsal > workstation.block) return { ...finding, state: 'fail', severity: 'block', measured }
  if (size - rehearsal > workstation.warn) return { ...finding, state: 'fail', severity: 'warn', measured }
  if (uncertainty > workstation.warn) return { ...finding, state: 'could-not-run', measured }
  return { ...finding, state: 'pass', measured }
}

/** `NaN` of nothing. */
export function medianOf(values: readonly number[]): number {
  const sorted = values.toSorted((first, second) => first - second)
  const middle = Math.floor(sorted.length / 2)
  const upper = sorted[middle] ?? NaN
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? NaN) + upper) / 2
}

function seconds(value: number): string {
  return value < 60 ? `${value.toFixed(value < 10 ? 3 : 1)} s` : duration(value)
}

function duration(value: number): string {
  if (value < 7200) return `${Math.round(value / 60)} min`
  return value < 172_800 ? `${(value / 3600).toFixed(1)} h` : `${(value / 86_400).toFixed(1)} days`
}
