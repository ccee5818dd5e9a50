export { connectSsh, readHostKey, type ConnectSshOptions, type SshConnection } from './connection.ts'
