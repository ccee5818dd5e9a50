import { AppError } from '../../shared/errors/index.ts'
import type { Endpoint } from './dialler.ts'

/** `host:port`, with brackets around IPv6 addresses. */
export function endpointText(endpoint: Endpoint): string {
  const host = endpoint.host.includes(':') ? `[${endpoint.host}]` : endpoint.host
  return `${host}:${String(endpoint.port)}`
}

interface NetworkErrorText {
  code: string
  title: (where: string) => string
  remedies: readonly string[]
  isTransient: boolean
}

const refused: NetworkErrorText = {
  code: 'CONNECTION_REFUSED',
  title: (where) => `Nothing accepts connections on ${where}.`,
  remedies: [
    'If the machine is starting, its service is not up yet: wait.',
    'Check that the address belongs to the machine that you mean.',
  ],
  isTransient: true,
}
const lost: NetworkErrorText = {
  code: 'CONNECTION_LOST',
  title: (where) => `The connection to ${where} was cut.`,
  remedies: [
    'A machine or service that restarts does this: wait.',
    'If it goes on, look for a firewall between here and there.',
  ],
  isTransient: true,
}
const timedOut: NetworkErrorText = {
  code: 'NO_ANSWER',
  title: (where) => `${where} does not answer.`,
  remedies: [
    'Check that the machine is switched on and has its address.',
    'Check cable, VLAN and firewall between here and there.',
  ],
  isTransient: true,
}
const unreachable: NetworkErrorText = {
  code: 'UNREACHABLE',
  title: (where) => `There is no way to ${where}.`,
  remedies: [
    'Check the network connection of this computer and its route to that network.',
    'Check that the machine is switched on.',
  ],
  isTransient: true,
}
const nameUnknown: NetworkErrorText = {
  code: 'NAME_UNKNOWN',
  title: (where) => `The name of ${where} cannot be resolved.`,
  remedies: ['Use the IP address, or correct the name or the DNS servers of this computer.'],
  isTransient: false,
}
const denied: NetworkErrorText = {
  code: 'CONNECTION_DENIED',
  title: (where) => `This computer does not allow the connection to ${where}.`,
  remedies: ['Allow Landfall in the firewall of this computer.'],
  isTransient: false,
}

const textBySystemCode: Record<string, NetworkErrorText> = {
  ECONNREFUSED: refused,
  ECONNRESET: lost,
  ECONNABORTED: lost,
  EPIPE: lost,
  ERR_STREAM_PREMATURE_CLOSE: lost,
  UND_ERR_SOCKET: lost,
  ETIMEDOUT: timedOut,
  UND_ERR_CONNECT_TIMEOUT: timedOut,
  EHOSTUNREACH: unreachable,
  EHOSTDOWN: unreachable,
  ENETUNREACH: unreachable,
  ENETDOWN: unreachable,
  EADDRNOTAVAIL: unreachable,
  ENOTFOUND: nameUnknown,
  EAI_AGAIN: { ...nameUnknown, isTransient: true },
  EACCES: denied,
  EPERM: denied,
}

/**
 * Translates a system error of a connection; `undefined` when the error is not one of those.
 * `act` says what was tried, e.g. `GET /v1/ping`.
 */
export function networkError(
  thrown: unknown,
  endpoint: Endpoint,
  options: { act?: string; node?: string | undefined } = {},
): AppError | undefined {
  const systemCode = systemCodeOf(thrown)
  if (systemCode === undefined) return undefined
  const text = textBySystemCode[systemCode]
  if (text === undefined) return undefined
  const detail = [options.act, thrown instanceof Error ? thrown.message : undefined, systemCode]
    .filter((part, index, parts) => part !== undefined && part !== '' && parts.indexOf(part) === index)
    .join(': ')
  return new AppError({
    code: text.code,
    title: text.title(endpointText(endpoint)),
    detail,
    remedies: text.remedies,
    isTransient: text.isTransient,
    node: options.node,
    cause: thrown,
  })
}

/** The `code` of a system error; that of its cause where the error itself has none. */
export function systemCodeOf(thrown: unknown): string | undefined {
  for (let error = thrown, depth = 0; error instanceof Error && depth < 4; error = error.cause, depth++) {
    if ('code' in error && typeof error.code === 'string') return error.code
  }
  return undefined
}
