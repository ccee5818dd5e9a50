export type { SshAuthentication } from './authentication.ts'
export {
  connectSsh,
  readHostKey,
  type ConnectSshOptions,
  type HostKeyPolicy,
  type SshConnection,
} from './connection.ts'
export { printedBefore } from './exec.ts'
export { describeHostKey, judgeHostKey, type HostKeyJudgement } from './host-key-judgement.ts'
export { createJumpDialler, type JumpDialler } from './jump-dialler.ts'
export { lastingConnection, type LastingConnection } from './lasting-connection.ts'
export { connectPatiently } from './patience.ts'
export { wasPasswordRefused } from './ssh-errors.ts'
