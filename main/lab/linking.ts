import { z } from 'zod'
import type { LabContext } from './context.ts'
import { errorAnswer, type Answer } from './http/api-server.ts'
import { stableHash } from './hardware.ts'
import { edgeHostInfo } from './local-ui/edge-host.ts'
import type { LabNode } from './node.ts'

type LinkState = 'Pending' | 'InProgress' | 'Completed' | 'Failed'
type ContentSync = 'Pending' | 'Syncing' | 'Synced'

interface Link {
  leader: LabNode
  follower: LabNode
  state: LinkState
  contentSync: ContentSync
}

interface IssuedToken {
  token: string
  /** Simulated milliseconds. */
  expiresAt: number
}

const tokenSchema = z.object({ ip: z.string(), otp: z.string() })

/** Who is linked to whom, with the life of the one-time tokens. */
export class Linking {
  readonly #context: LabContext
  readonly #nodes: readonly LabNode[]
  readonly #tokens = new Map<LabNode, IssuedToken>()
  #links: Link[] = []
  #tokenCount = 0
  /** Variant D ships the content separately: nothing can be synchronised before the leader has it. */
  #isContentThere: boolean

  constructor(context: LabContext, nodes: readonly LabNode[]) {
    this.#context = context
    this.#nodes = nodes
    this.#isContentThere = context.variant !== 'D'
  }

  get isContentThere(): boolean {
    return this.#isContentThere
  }

  roleOf(node: LabNode): 'leader' | 'follower' | 'none' {
    if (this.#links.some((link) => link.leader === node)) return 'leader'
    return this.#links.some((link) => link.follower === node) ? 'follower' : 'none'
  }

  contentSyncOf(node: LabNode): string {
    const link = this.#links.find((one) => one.follower === node)
    if (link !== undefined) return link.contentSync
    return this.#isContentThere ? 'Synced' : 'Pending'
  }

  followersOf(leader: LabNode): LabNode[] {
    return this.#links
      .filter((link) => link.leader === leader && link.state === 'Completed')
      .map((link) => link.follower)
  }

  leaderOf(follower: LabNode): LabNode | null {
    return this.#links.find((link) => link.follower === follower)?.leader ?? null
  }

  isReady(node: LabNode): boolean {
    const link = this.#links.find((one) => one.follower === node)
    return link?.state === 'Completed' && link.contentSync === 'Synced'
  }

  /** `POST …/link/generate-token` on the leader; the same token until it runs out. */
  generateToken(leader: LabNode): Answer {
    const { scheduler, durations, faults } = this.#context
    if (this.roleOf(leader) === 'follower') {
      return errorAnswer(500, 'LinkNotAllowed', 'this host is linked to a leader and cannot generate a token')
    }
    if (leader.isInCluster) return errorAnswer(500, 'LinkNotAllowed', 'this host is part of a cluster')
    const now = scheduler.now()
    let issued = this.#tokens.get(leader)
    const isDead = faults.take('link-token-expired', leader.name) !== null
    if (issued === undefined || issued.expiresAt <= now || isDead) {
      const otp = stableHash('otp', leader.name, String(++this.#tokenCount)).slice(0, 16)
      const content = JSON.stringify({ ip: leader.nic.address, port: leader.plan.localUi.port, otp })
      // A dead token looks fresh: that is what an answer delayed on the way looks like.
      issued = {
        token: Buffer.from(content).toString('base64'),
        expiresAt: isDead ? now : now + durations.linkToken,
      }
      this.#tokens.set(leader, issued)
    }
    const remaining = isDead ? durations.linkToken : issued.expiresAt - now
    return {
      status: 200,
      body: {
        token: issued.token,
        interval: Math.round(durations.linkToken / 1000),
        remainingTime: Math.ceil(remaining / 1000),
      },
    }
  }

  /** `POST …/link` on the follower. */
  link(follower: LabNode, token: string): Answer {
    const { scheduler, durations, recorder, faults } = this.#context
    recorder.count('linkRequests')
    const content = readToken(token)
    if (content === null) return errorAnswer(400, 'InvalidToken', 'the token cannot be read')
    if (follower.isInCluster) return errorAnswer(400, 'LinkNotAllowed', 'this host is part of a cluster')
    if (this.#links.some((link) => link.follower === follower)) {
      return errorAnswer(400, 'AlreadyLinked', 'this host is already linked to a leader')
    }
    if (this.roleOf(follower) === 'leader' || this.#hasLiveToken(follower)) {
      return errorAnswer(400, 'LinkNotAllowed', 'this host acts as a leader; stop the token generation first')
    }
    const leader = this.#nodes.find((node) => node.nic.address === content.ip)
    if (leader?.stage !== 'ready' || faults.active('unreachable', leader.name) !== null) {
      return errorAnswer(400, 'LeaderUnreachable', `no answer from the leader at ${content.ip}`)
    }
    if (leader === follower) return errorAnswer(400, 'LinkNotAllowed', 'a host cannot be linked to itself')
    const issued = this.#tokens.get(leader)
    if (issued?.token !== token || issued.expiresAt <= scheduler.now()) {
      recorder.count('expiredTokens')
      return errorAnswer(400, 'TokenExpired', 'the token has expired, generate a new one')
    }
    if (leader.isInCluster) return errorAnswer(400, 'LinkNotAllowed', 'the leader is part of a cluster')
    const link: Link = { leader, follower, state: 'Pending', contentSync: 'Pending' }
    this.#links.push(link)
    leader.isLinked = true
    follower.isLinked = true
    recorder.busy(scheduler.now(), scheduler.now() + durations.link + durations.contentSync)
    scheduler.after(Math.min(durations.linkPending, durations.link), () => {
      if (link.state === 'Pending') link.state = 'InProgress'
    })
    scheduler.after(durations.link, () => {
      this.#complete(link)
    })
    return { status: 200, body: { status: link.state, errorMessage: '', peers: [] } }
  }

  /** `GET …/link/status`; 404 when there is no link. */
  status(node: LabNode): Answer {
    const links = this.#links.filter((link) => link.leader === node || link.follower === node)
    if (links.length === 0) return errorAnswer(404, 'NotLinked', 'this host is not linked')
    const open = links.find((link) => link.state !== 'Completed')
    return {
      status: 200,
      body: {
        status: open?.state ?? 'Completed',
        errorMessage: '',
        peers: links.filter((link) => link.state === 'Completed').map((link) => this.#peer(link, node)),
      },
    }
  }

  /** `POST …/unlink?peerId=`. */
  unlink(node: LabNode, peerId: string): Answer {
    const link = this.#links.find(
      (one) =>
        (one.leader === node && one.follower.edgeHostId === peerId) ||
        (one.follower === node && (one.leader.edgeHostId === peerId || node.edgeHostId === peerId)),
    )
    if (link === undefined) return errorAnswer(400, 'NotLinked', `${peerId} is not linked to this host`)
    if (node.isInCluster) return errorAnswer(400, 'InCluster', 'a host of a cluster cannot be unlinked')
    this.#links = this.#links.filter((one) => one !== link)
    for (const end of [link.leader, link.follower]) end.isLinked = this.roleOf(end) !== 'none'
    return { status: 200, body: { message: 'the host is unlinked' } }
  }

  /** The leader has its content now (variant D), or more of it (packs): followers fetch it. */
  contentArrived(leader: LabNode): void {
    this.#isContentThere = true
    for (const link of this.#links) {
      if (link.leader === leader && link.state === 'Completed' && link.contentSync === 'Pending')
        this.#sync(link)
    }
  }

  #hasLiveToken(node: LabNode): boolean {
    const issued = this.#tokens.get(node)
    return issued !== undefined && issued.expiresAt > this.#context.scheduler.now()
  }

  #complete(link: Link): void {
    if (!this.#links.includes(link)) return
    link.state = 'Completed'
    this.#context.recorder.count('linksCompleted')
    this.#context.emit('node-linked', link.follower.name)
    if (this.#isContentThere) this.#sync(link)
  }

  #sync(link: Link): void {
    const { scheduler, durations, recorder } = this.#context
    link.contentSync = 'Syncing'
    recorder.busy(scheduler.now(), scheduler.now() + durations.contentSync)
    scheduler.after(durations.contentSync, () => {
      this.#finishSync(link)
    })
  }

  #finishSync(link: Link): void {
    const { scheduler, faults } = this.#context
    const stall = faults.active('sync-stalls', link.follower.name)
    if (stall !== null) {
      if (Number.isFinite(stall.until))
        scheduler.at(stall.until, () => {
          this.#finishSync(link)
        })
      return
    }
    link.contentSync = 'Synced'
    this.#context.emit('content-synced', link.follower.name)
  }

  #peer(link: Link, viewer: LabNode): Record<string, unknown> {
    const isLeaderView = link.leader === viewer
    const peer = isLeaderView ? link.follower : link.leader
    const isSynced = link.contentSync === 'Synced'
    const isOnline = peer.stage === 'ready' && this.#context.faults.active('unreachable', peer.name) === null
    return {
      id: peer.edgeHostId,
      ip: peer.nic.address,
      localUIPort: String(peer.plan.localUi.port),
      overlayIP: '',
      role: isLeaderView ? 'follower' : 'leader',
      nodeRole: isLeaderView ? 'unknown' : 'init',
      status: peer.isInCluster ? 'In-Use' : isSynced || !this.#isContentThere ? 'Ready' : 'Preparing',
      contentSyncStatus: isLeaderView ? link.contentSync : this.contentSyncOf(peer),
      health: isOnline
        ? { status: 'Healthy', reason: '' }
        : { status: 'Unhealthy', reason: 'the host does not answer' },
      config: edgeHostInfo(this.#context, peer),
    }
  }
}

function readToken(token: string): { ip: string; otp: string } | null {
  try {
    return tokenSchema.parse(JSON.parse(Buffer.from(token, 'base64').toString('utf8')))
  } catch {
    return null
  }
}
