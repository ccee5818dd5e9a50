export { createSystemConsoleClient, type SystemConsoleClient } from './system-console-client.ts'
export type { SystemUser } from './system-console-schemas.ts'
