export { localNmap } from './local-nmap.ts'
export { nmapThrough } from './nmap-program.ts'
export { scanWithNmap } from './scan-addresses.ts'
