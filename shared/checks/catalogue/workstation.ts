import { hours24, minutes5, type CheckDefinition } from '../definition.ts'

/** Checks of this workstation and of the files that the plan names (checks.md §3.1). */
export const workstationChecks = {
  'ws.disk-free': {
    title: 'Room for journal and logs',
    severity: 'block',
    fixStep: null,
    ageLimitSeconds: minutes5,
  },
  'ws.tools': {
    title: 'Programs that look for addresses are there',
    severity: 'warn',
    fixStep: null,
    ageLimitSeconds: hours24,
  },
  'ws.raw-socket': {
    title: 'ARP requests may be sent from here',
    severity: 'info',
    fixStep: null,
    ageLimitSeconds: hours24,
  },
  'ws.same-l2': {
    title: 'This workstation is in the network of the nodes',
    severity: 'info',
    fixStep: null,
    ageLimitSeconds: minutes5,
  },
  'ws.clock': {
    title: 'Clock of this workstation agrees with the nodes',
    severity: 'warn',
    fixStep: null,
    ageLimitSeconds: minutes5,
  },
  'ws.single-instance': {
    title: 'No other Landfall works on this site',
    severity: 'block',
    fixStep: null,
    ageLimitSeconds: minutes5,
  },
  'ws.proxy-env': {
    title: 'No proxy of this workstation stands between it and the nodes',
    severity: 'info',
    fixStep: null,
    ageLimitSeconds: minutes5,
  },
  'ws.tls-inspection': {
    title: 'Nobody between here and the node re-signs its certificate',
    severity: 'block',
    fixStep: null,
    ageLimitSeconds: minutes5,
  },
  'ws.file-readable': {
    title: 'File of the plan can be read',
    severity: 'block',
    fixStep: 'files',
    ageLimitSeconds: hours24,
  },
  'media.sha256': {
    title: 'ISO file is the published one',
    severity: 'block',
    fixStep: 'files',
    ageLimitSeconds: hours24,
  },
  'media.iso-structure': {
    title: 'ISO file is one that UEFI starts from',
    severity: 'block',
    fixStep: 'files',
    ageLimitSeconds: hours24,
  },
  'media.iso-size': {
    title: 'ISO file is whole',
    severity: 'block',
    fixStep: 'files',
    ageLimitSeconds: hours24,
  },
  'bundle.zst-valid': {
    title: 'File to upload is there and is a zstd file',
    severity: 'block',
    fixStep: 'files',
    ageLimitSeconds: hours24,
  },
  'reg.cert-san': {
    title: 'Certificate of the registry is valid for its address',
    severity: 'block',
    fixStep: 'cluster',
    ageLimitSeconds: hours24,
  },
  'reg.cert-dates': {
    title: 'Certificate of the registry is valid now',
    severity: 'block',
    fixStep: 'cluster',
    ageLimitSeconds: hours24,
  },
  'reg.cert-chain': {
    title: 'Certificate of the registry is signed by its CA',
    severity: 'block',
    fixStep: 'cluster',
    ageLimitSeconds: hours24,
  },
} as const satisfies Record<string, CheckDefinition>
