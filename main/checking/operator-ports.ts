import type { Finding } from '../../shared/checks/index.ts'
import { checkOperatorPorts, type PortAnswer } from '../checks/index.ts'
import { Semaphore } from '../engine/semaphore.ts'
import type { Site } from '../phases/site.ts'

/** Real time for one connection. */
const timeoutMilliseconds = 4000
const atOnce = 32

/** Opens a connection to Local UI and SSH of every node, and closes it again. */
export async function lookAtOperatorPorts(
  { plan, nodes, dialler }: Pick<Site, 'plan' | 'nodes' | 'dialler'>,
  signal: AbortSignal,
): Promise<Finding[]> {
  const places = new Semaphore(atOnce)
  const dial = async (host: string, port: number, what: PortAnswer['what']): Promise<PortAnswer> => {
    try {
      const connection = await places.run(signal, () =>
        dialler.dial({ host, port }, { signal, timeoutMilliseconds }),
      )
      connection.destroy()
      return { port, what, error: undefined }
    } catch (error) {
      signal.throwIfAborted()
      return { port, what, error: error instanceof Error ? error.message : String(error) }
    }
  }
  return Promise.all(
    plan.nodes.map(async (node) => {
      const address = nodes.addressOf(node)
      const answers = await Promise.all([
        dial(address, node.localUi.port, 'Local UI'),
        dial(address, node.ssh.port, 'SSH'),
      ])
      return checkOperatorPorts(node, address, answers)
    }),
  )
}
