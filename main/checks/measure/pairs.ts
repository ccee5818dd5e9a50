/** Up to so many nodes each asks each. */
export const fullMeshLimit = 12
/** In larger fleets: neighbours in the order of the plan, half of them on each side. */
const ringNeighbours = 4

export interface Place {
  readonly name: string
  readonly isControlPlane: boolean
}

/**
 * Whom each node asks. All others in a fleet of up to 12. In a larger one: the leader asks all and all ask the leader, the
 * control plane's nodes ask each other (each of them the next 12 where there are more), and each asks its four neighbours
 * in the order of the plan. So the work of a node does not grow with the fleet, that of the leader only in proportion.
 */
export function peersOf<Node extends Place>(
  nodes: readonly Node[],
  leader: string | undefined,
): ReadonlyMap<string, readonly Node[]> {
  const isFullMesh = nodes.length <= fullMeshLimit
  const controlPlane = nodes.filter(({ isControlPlane }) => isControlPlane)
  return new Map(
    nodes.map((node, index) => {
      if (isFullMesh || node.name === leader) return [node.name, nodes.filter((other) => other !== node)]
      const chosen = new Set<Node>(nodes.filter(({ name }) => name === leader))
      for (let step = 1; step <= ringNeighbours / 2; step += 1) {
        for (const place of [index + step, index - step]) {
          const neighbour = nodes[(place + nodes.length) % nodes.length]
          if (neighbour !== undefined) chosen.add(neighbour)
        }
      }
      const own = controlPlane.indexOf(node)
      if (own !== -1) {
        const following = [...controlPlane.slice(own + 1), ...controlPlane.slice(0, own)]
        for (const other of following.slice(0, fullMeshLimit)) chosen.add(other)
      }
      chosen.delete(node)
      return [node.name, nodes.filter((other) => chosen.has(other))]
    }),
  )
}
