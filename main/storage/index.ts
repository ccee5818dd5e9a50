export { openIdentityStore } from './identity-store.ts'
export { memoryIdentityStore } from './memory-identity-store.ts'
