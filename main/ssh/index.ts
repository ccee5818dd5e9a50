export type { SshAuthentication } from './authentication.ts'
export {
  connectSsh,
  readHostKey,
  type ConnectSshOptions,
  type HostKeyPolicy,
  type SshConnection,
} from './connection.ts'
export type { ExecOptions, ExecResult } from './exec.ts'
export type { HostKeyIdentity } from './host-key.ts'
export { readPrivateKey } from './private-key.ts'
export type { SftpFileStatus } from './sftp.ts'
