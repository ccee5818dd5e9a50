import { hostname, userInfo } from 'node:os'

/** Who sits here, for the record: account and machine. */
export function acceptedBy(): string {
  return `${userInfo().username}@${hostname()}`
}
