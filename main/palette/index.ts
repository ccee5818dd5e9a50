export {
  createSystemConsoleClient,
  type SystemConsoleClient,
  type SystemConsoleClientOptions,
  type SystemLoginFlags,
} from './system-console-client.ts'
export type { OciRegistry, RegistrySync, SystemUser } from './system-console-schemas.ts'
