import type { Socket } from 'node:net'
import type { Cluster } from '../cluster.ts'
import type { LabContext } from '../context.ts'
import { ApiServer, errorAnswer } from '../http/api-server.ts'
import type { Linking } from '../linking.ts'
import type { LabNode } from '../node.ts'
import { clusterRoutes } from './cluster-routes.ts'
import { contentRoutes } from './content-routes.ts'
import { hostRoutes } from './host-routes.ts'
import { networkRoutes } from './network-routes.ts'
import { authorizeLocalUi, sessionRoutes } from './session.ts'

/** The Local UI of one node: HTTPS with the node's own certificate, paths of palette.md §7.2 and §7.3. */
export class LocalUi {
  readonly #server: ApiServer

  constructor(context: LabContext, node: LabNode, site: { linking: Linking; cluster: Cluster }) {
    this.#server = new ApiServer({
      service: 'local-api',
      node: node.name,
      identity: node.identity,
      routes: [
        ...sessionRoutes(context, node),
        ...hostRoutes(context, node, site.linking),
        ...networkRoutes(context, node),
        ...contentRoutes(context, node, site),
        ...clusterRoutes(context, node, site),
      ],
      authorize: (headers) => authorizeLocalUi(context, node, headers),
      precede: () =>
        node.isUnavailable
          ? errorAnswer(503, 'Unavailable', 'Your service is temporarily unavailable')
          : null,
      notFound: ({ path }) => errorAnswer(404, 'NotFound', `path ${path} was not found`),
      scheduler: context.scheduler,
      faults: context.faults,
      recorder: context.recorder,
      onExchange: context.onExchange,
    })
    node.onIdentityChange = () => {
      this.#server.setIdentity(node.identity)
    }
  }

  accept(socket: Socket): void {
    this.#server.accept(socket)
  }

  stop(): void {
    this.#server.stop()
  }
}
