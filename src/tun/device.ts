/** An open TUN device, whatever the operating system. */
export type Tun = {
  /** Owned by whoever opened it; closing it removes the device. */
  readonly fd: number
  /** The name that the kernel gave. */
  readonly name: string
  /** Whether each packet comes with a virtio network header (struct virtio_net_hdr). */
  readonly vnetHeader: boolean
}
