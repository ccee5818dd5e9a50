import { AppError } from '../../shared/errors/index.ts'
import type { Endpoint } from '../network/dialler.ts'
import { endpointText, networkError } from '../network/network-error.ts'
import { printableStart } from '../network/printable.ts'

/** Where an error happened: the endpoint and, if known, the plan's name of the node. */
export interface SshPlace {
  endpoint: Endpoint
  node?: string | undefined
}

/** No SSH connection came about: refused, no route, silence, cut during the handshake. Heals by itself, often. */
export function unreachable(place: SshPlace, detail: string, cause?: unknown): AppError {
  const where = endpointText(place.endpoint)
  const network = networkError(cause, place.endpoint)
  return new AppError({
    code: 'SSH_UNREACHABLE',
    title: network?.title ?? `No SSH connection to ${where} could be made.`,
    detail,
    remedies: network?.remedies ?? [
      'A machine that is starting may not accept connections yet: wait.',
      'Check the network and the firewall between here and there.',
    ],
    isTransient: true,
    node: place.node,
    cause,
  })
}

const earlyDrops = new WeakSet<Error>()

/**
 * The server took the TCP connection and closed it before it proved who it is: no name and no secret was sent. A server with
 * too many logins at once does this to some of them (`MaxStartups` of sshd_config), and one that is starting or stopping.
 */
export function droppedEarly(place: SshPlace, detail: string, cause?: unknown): AppError {
  const error = new AppError({
    ...unreachable(place, detail, cause).toData(),
    remedies: [
      'A machine that is starting, or that has too many logins at once, does this: wait.',
      'If it goes on: look at MaxStartups and at the log of its SSH server, and at address filters (hosts.deny, fail2ban).',
    ],
    cause,
  })
  earlyDrops.add(error)
  return error
}

/** True for an error after which the same connection may be tried again at once: nothing was sent that could count. */
export function wasDroppedEarly(error: unknown): boolean {
  return error instanceof Error && earlyDrops.has(error)
}

export function connectionLost(place: SshPlace, detail: string, cause?: unknown): AppError {
  return new AppError({
    code: 'SSH_CONNECTION_LOST',
    title: `The SSH connection to ${endpointText(place.endpoint)} was cut.`,
    detail,
    remedies: [
      'A machine that restarts does this: wait.',
      'If it goes on, check the network between here and there.',
    ],
    isTransient: true,
    node: place.node,
    cause,
  })
}

export function timedOut(place: SshPlace, what: string, milliseconds: number): AppError {
  return new AppError({
    code: 'SSH_TIMEOUT',
    title: `${endpointText(place.endpoint)} did not answer over SSH in time.`,
    detail: `${what}: nothing within ${String(milliseconds / 1000)} s.`,
    remedies: [
      'A machine that is busy or starting does this: wait.',
      'If it goes on, look at the load of the machine and at the network.',
    ],
    isTransient: true,
    node: place.node,
  })
}

/** Names of the authentication methods of RFC 4252 and RFC 4256 as an operator says them. */
const methodNames: Record<string, string> = {
  publickey: 'key',
  password: 'password',
  'keyboard-interactive': 'keyboard-interactive (password by prompt)',
  hostbased: 'host-based',
}

export interface LoginAttempt {
  username: string
  /** Methods that the server offers; empty when it did not say. */
  offered: readonly string[]
  /** Methods that were tried, in order. */
  tried: readonly string[]
  given: { key: boolean; agent: boolean; password: boolean }
  /** A whole sentence about what else happened, e.g. a prompt for a new password or an agent that is not there. */
  remark?: string | undefined
}

const passwordRefusals = new WeakSet<Error>()

/** True for a refused login in which the server was given the password, and did not want it. */
export function wasPasswordRefused(error: unknown): boolean {
  return error instanceof Error && passwordRefusals.has(error)
}

export function loginRefused(place: SshPlace, attempt: LoginAttempt): AppError {
  const { offered, tried, given, remark } = attempt
  const takesPassword = offered.includes('password') || offered.includes('keyboard-interactive')
  const remedies: string[] = []
  if (given.password && offered.length > 0 && !takesPassword) {
    remedies.push('Password login is switched off on this appliance image: give a key.')
  } else if (tried.includes('password') || tried.includes('keyboard-interactive')) {
    remedies.push('Check the user name and give the right password. It was tried once only.')
  } else if (takesPassword && !given.password) {
    remedies.push('Give a password: the server accepts one.')
  }
  if (tried.includes('publickey') || tried.includes('agent')) {
    remedies.push(`Check that the public key stands in the authorized_keys of ${attempt.username}.`)
  } else if (
    offered.includes('publickey') &&
    !given.key &&
    !given.agent &&
    !takesPassword &&
    !given.password
  ) {
    remedies.push('Give a key.')
  }
  if (remedies.length === 0) remedies.push('Check the user name and how this server lets users log in.')
  const error = new AppError({
    code: 'SSH_LOGIN_REFUSED',
    title: `${endpointText(place.endpoint)} refuses the SSH login of ${attempt.username}.`,
    detail:
      (offered.length === 0
        ? 'The server does not say which methods it offers.'
        : `The server offers: ${offered.map((method) => methodNames[method] ?? method).join(', ')}.`) +
      ` Tried: ${tried.length === 0 ? 'nothing, because none of them fits what was given' : tried.map((method) => methodNames[method] ?? method).join(', ')}.` +
      (remark === undefined ? '' : ` ${printableStart(remark, 200)}`),
    remedies,
    node: place.node,
  })
  if (tried.includes('password') || tried.includes('keyboard-interactive')) passwordRefusals.add(error)
  return error
}

export function identityChanged(
  place: SshPlace,
  known: { algorithm: string; fingerprint: string },
  seen: { algorithm: string; fingerprint: string },
): AppError {
  return new AppError({
    code: 'SSH_IDENTITY_CHANGED',
    title: `${endpointText(place.endpoint)} shows another SSH host key than before.`,
    detail:
      `Known: ${known.algorithm} ${known.fingerprint}. Shown now: ${seen.algorithm} ${seen.fingerprint}. ` +
      'No credentials were sent.',
    remedies: [
      'If the machine was installed again: compare the new fingerprint on its console and trust it again.',
      'Otherwise another machine answers on this address: find out which one before you go on.',
    ],
    node: place.node,
  })
}

export function identityRejected(
  place: SshPlace,
  seen: { algorithm: string; fingerprint: string },
): AppError {
  return new AppError({
    code: 'SSH_IDENTITY_REJECTED',
    title: `The SSH host key of ${endpointText(place.endpoint)} is not trusted.`,
    detail: `Shown: ${seen.algorithm} ${seen.fingerprint}. No credentials were sent.`,
    remedies: ['Compare the fingerprint with the one on the console of the machine, then trust it.'],
    node: place.node,
  })
}

export function handshakeFailed(place: SshPlace, detail: string, cause: unknown): AppError {
  return new AppError({
    code: 'SSH_HANDSHAKE_FAILED',
    title: `${endpointText(place.endpoint)} and Landfall do not understand each other over SSH.`,
    detail,
    remedies: [
      'Check that address and port belong to an SSH server.',
      'Check which algorithms the server allows (KexAlgorithms, Ciphers, MACs, HostKeyAlgorithms).',
    ],
    node: place.node,
    cause,
  })
}
