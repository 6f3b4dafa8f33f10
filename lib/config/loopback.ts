import { BlockList, isIP } from 'node:net';

const loopback = new BlockList();
loopback.addSubnet('127.0.0.0', 8);
loopback.addAddress('::1', 'ipv6');

/** Whether only this machine reaches the address; `localhost` is one as well. */
export function isLoopback(address: string): boolean {
    const family = isIP(address);
    return family === 0
        ? address.toLowerCase() === 'localhost'
        : loopback.check(address, family === 4 ? 'ipv4' : 'ipv6');
}
