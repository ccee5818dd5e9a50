import type { Measurements, PeerMeasurement } from './measurements.ts'

/** What was measured from one node to another. `undefined`: not known. */
export interface MatrixCell {
  readonly from: string
  readonly to: string
  readonly isReached: boolean | undefined
  /** Milliseconds, average. */
  readonly roundTrip: number | undefined
  /** Percent. */
  readonly loss: number | undefined
  readonly path: { readonly isFull: boolean; readonly largest: number | undefined } | undefined
  readonly closedPorts: readonly number[]
  readonly isSameLink: boolean | undefined
  /** Why it is not known whether the other is reached. */
  readonly reason: string | undefined
}

export interface NodeMatrix {
  /** Rows ask, columns answer. */
  readonly nodes: readonly string[]
  /** Only what was asked; in a large fleet that is not everything. */
  readonly cells: readonly MatrixCell[]
  /** Nodes whose row and column are bad while the rest is good. */
  readonly odd: readonly { readonly node: string; readonly reason: string }[]
}

export function matrixOf(measurements: Measurements): NodeMatrix {
  const cells = measurements.nodes.flatMap((node) =>
    node.peers.map((peer) => cellOf(node.name, peer, measurements)),
  )
  const odd = new Map<string, string>()
  for (const { isBad, reason } of troubles) {
    const bad = cells.filter(isBad)
    for (const node of oddOnes(cells, bad)) {
      const own = bad.filter(({ from, to }) => from === node || to === node)
      if (!odd.has(node)) odd.set(node, reason(own))
    }
  }
  return {
    nodes: measurements.nodes.map(({ name }) => name),
    cells,
    odd: [...odd].map(([node, reason]) => ({ node, reason })),
  }
}

function cellOf(from: string, peer: PeerMeasurement, { nodes }: Measurements): MatrixCell {
  const { ping, path, link, ports } = peer
  const reading = ping.kind === 'read' ? ping.value : undefined
  const states = ports.kind === 'read' ? ports.value : []
  const hasPort = states.some(({ state }) => state === 'open' || state === 'refused')
  const isPinged = reading === undefined ? undefined : reading.received > 0
  const macs = nodes.find(({ name }) => name === peer.name)?.own
  const entry = link.kind === 'read' ? link.value : undefined
  return {
    from,
    to: peer.name,
    isReached: isPinged === true || hasPort ? true : isPinged,
    roundTrip: reading?.roundTrip?.average,
    loss: reading === undefined ? undefined : ((reading.sent - reading.received) / reading.sent) * 100,
    path:
      path.kind === 'read'
        ? { isFull: path.value.sizes.every(({ passes }) => passes), largest: path.value.largest }
        : undefined,
    closedPorts: states
      .filter(({ state }) => state === 'silent' || state === 'unreachable')
      .map(({ port }) => port),
    isSameLink:
      entry === undefined
        ? undefined
        : entry.via !== undefined
          ? false
          : entry.mac === undefined || macs?.kind !== 'read'
            ? undefined
            : macs.value.interfaces.some(({ mac }) => mac === entry.mac),
    reason: ping.kind === 'unread' ? ping.reason : undefined,
  }
}

/** Milliseconds. */
const slow = 10

/** In the order in which they explain each other. */
const troubles: readonly {
  readonly isBad: (cell: MatrixCell) => boolean
  readonly reason: (own: readonly MatrixCell[]) => string
}[] = [
  { isBad: isUnreached, reason: () => 'the others do not reach it, or it does not reach them' },
  { isBad: ({ isSameLink }) => isSameLink === false, reason: () => 'it is in another layer 2 network' },
  {
    isBad: (cell) => isLossy(cell) && !isUnreached(cell),
    reason: (own) =>
      `packets to or from it are lost (up to ${Math.round(Math.max(...own.map(({ loss }) => loss ?? 0)))} %)`,
  },
  {
    isBad: isNarrow,
    reason: (own) => {
      const sizes = own.flatMap(({ path }) => path?.largest ?? [])
      return sizes.length === 0
        ? 'large packets to or from it do not pass'
        : `packets of more than ${Math.min(...sizes)} bytes to or from it do not pass`
    },
  },
  {
    isBad: (cell) => cell.closedPorts.length > 0 && !isUnreached(cell),
    reason: (own) => {
      const ports = [...new Set(own.flatMap(({ closedPorts }) => closedPorts))]
      return `TCP ports to or from it do not answer: ${ports.slice(0, 6).join(', ')}${ports.length > 6 ? ', …' : ''}`
    },
  },
  {
    isBad: ({ roundTrip }) => roundTrip !== undefined && roundTrip > slow,
    reason: (own) =>
      `it is far away (up to ${Math.round(Math.max(...own.map(({ roundTrip }) => roundTrip ?? 0)))} ms)`,
  },
]

export function isUnreached({ isReached }: MatrixCell): boolean {
  return isReached === false
}

export function isLossy({ loss }: MatrixCell): boolean {
  return loss !== undefined && loss > 0
}

export function isNarrow({ path }: MatrixCell): boolean {
  return path?.isFull === false
}

/**
 * Nodes that explain what is bad: one after the other, whoever takes part in most of it, and in at least half of its row or
 * of its column; always fewer than half of all. Between two nodes alone nobody can say whose fault it is.
 */
export function oddOnes(cells: readonly MatrixCell[], bad: readonly MatrixCell[]): string[] {
  const found: string[] = []
  let left = bad
  const names = [...new Set(cells.flatMap(({ from, to }) => [from, to]))]
  const isAbout = (name: string) => (cell: MatrixCell) => cell.from === name || cell.to === name
  const isHalfOf = (end: 'from' | 'to', name: string) => {
    const own = left.filter((cell) => cell[end] === name).length
    return own > 0 && own * 2 >= cells.filter((cell) => cell[end] === name).length
  }
  while (left.length > 0) {
    const ranked = names.map((name) => ({ name, bad: left.filter(isAbout(name)).length }))
    const most = Math.max(...ranked.map(({ bad: own }) => own))
    const worst = ranked.filter(({ bad: own }) => own === most).map(({ name }) => name)
    // The odd ones are few, or they are not odd.
    if ((found.length + worst.length) * 2 >= names.length) break
    if (!worst.every((name) => isHalfOf('from', name) || isHalfOf('to', name))) break
    found.push(...worst)
    left = left.filter((cell) => !worst.some((name) => isAbout(name)(cell)))
  }
  return found
}
