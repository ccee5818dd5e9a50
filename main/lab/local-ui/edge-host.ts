import type { LabContext } from '../context.ts'
import { maskOf } from '../hardware.ts'
import type { LabNode } from '../node.ts'

const gigabyte = 1000 ** 3

/** `v1EdgeHostInfo` of a node (palette.md §7.3, host facts). */
export function edgeHostInfo(context: LabContext, node: LabNode): Record<string, unknown> {
  const { nic, hardware, machine } = node
  const now = new Date(context.scheduler.now()).toISOString()
  return {
    metadata: { id: node.edgeHostId, name: node.hostName, labels: {}, tags: {}, lastModifiedTimestamp: now },
    spec: {
      connectionMode: 'airgap',
      managementMode: 'local',
      paletteEndpointURL: '',
      nodeRole: node.isInCluster ? 'controlplane' : 'unknown',
      hardwareSpec: {
        archType: machine.architecture,
        cpu: { cores: machine.cpusByLocalUi ?? hardware.cpus },
        memory: { sizeInMB: Math.round(hardware.memoryBytes / 1024 ** 2) },
        gpus: [],
        os: { family: 'ubuntu', version: '22.04', kernel: 'linux', kernelVersion: '5.15.0-139-generic' },
        disks: hardware.disks.map((disk) => ({
          controller: 'scsi',
          vendor: disk.model,
          size: Math.round(disk.size / gigabyte),
          partitions: disk.partitions.map((partition) => ({
            fileSystemType: partition.fsType,
            mountPoint: partition.mountPoint ?? '',
            totalSpace: Math.round(partition.size / gigabyte),
            usedSpace: 0,
            freeSpace: Math.round(partition.size / gigabyte),
          })),
        })),
      },
      hostInfo: {
        hostState: node.isInCluster ? 'in-use' : 'ready',
        hostType: 'edge-native',
        secureBoot: machine.secureBoot,
      },
      networkInfo: [
        {
          nicName: nic.name,
          ip: nic.address,
          subnet: maskOf(nic.prefix),
          gateway: nic.gateway,
          dns: [...nic.nameservers],
          macAddr: nic.mac,
          isDefault: true,
        },
      ],
    },
    status: {
      agentVersion: node.agentVersion,
      hostName: node.hostName,
      isClusterPhase: node.isInCluster,
      configurationStatus: node.configurationState === 'In Progress' ? 'inprogress' : 'configured',
      dns: { nameservers: [...nic.nameservers], searchDomains: [...nic.searchDomains], options: [] },
      ntp: { ntpServers: [...node.ntpServers], fallbackNtpServers: [] },
    },
  }
}
