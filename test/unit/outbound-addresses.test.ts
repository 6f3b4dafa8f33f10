import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { DENIED_BY_DEFAULT, parseHost, parseNetwork } from '../../lib/config/outbound';
import { ConfigError } from '../../lib/config/error';
import { inTurns, systemResolver } from '../../lib/imports/targets';
import { AddressRules } from '../../lib/imports/addresses';
import { configOf } from '../support/remotes';

describe('addresses that imports connect to', () => {
    const rules = new AddressRules({ allow: [], deny: DENIED_BY_DEFAULT });

    const permitted = [
        '1.1.1.1',
        '8.8.8.8',
        '9.255.255.255',
        '11.0.0.0',
        '100.63.255.255',
        '100.128.0.0',
        '126.255.255.255',
        '128.0.0.0',
        '168.63.129.15',
        '169.253.255.255',
        '169.255.0.0',
        '172.15.255.255',
        '172.32.0.0',
        '192.0.1.0',
        '192.167.255.255',
        '192.169.0.0',
        '198.17.255.255',
        '198.20.0.0',
        '223.255.255.255',
        '2606:4700:4700::1111',
        '2a00:1450:4001:82a::200e',
        '2001:4860:4860::8888',
        // What carries an IPv4 address is as good as that.
        '::ffff:8.8.8.8',
        '64:ff9b::8.8.8.8',
        '2002:808:808::1',
        // Teredo: server 65.54.227.120, client 192.0.1.45.
        '2001:0:4136:e378:8000:63bf:3fff:fed2',
    ];
    for (const address of permitted) {
        it(`permits ${address}`, () => assert(rules.permits(address)));
    }

    const forbidden = [
        '0.0.0.0',
        '0.255.255.255',
        '10.0.0.0',
        '10.255.255.255',
        '100.64.0.0',
        '100.127.255.255',
        '127.0.0.1',
        '127.255.255.255',
        '168.63.129.16',
        '169.254.0.0',
        '169.254.169.254',
        '169.254.255.255',
        '172.16.0.0',
        '172.31.255.255',
        '192.0.0.0',
        '192.0.2.255',
        '192.168.0.0',
        '192.168.255.255',
        '198.18.0.0',
        '198.19.255.255',
        '224.0.0.0',
        '239.255.255.255',
        '240.0.0.0',
        '255.255.255.255',
        '::',
        '::1',
        '::2',
        '::7f00:1',
        '::127.0.0.1',
        '::ffff:127.0.0.1',
        '::ffff:7f00:1',
        '0:0:0:0:0:ffff:7f00:0001',
        '::ffff:0:10.0.0.1',
        '64:ff9b::10.0.0.1',
        '64:ff9b::a00:1',
        '64:ff9b:1::8.8.8.8',
        '64:ff9b:1:ffff:ffff:ffff:ffff:ffff',
        '100::1',
        '2001:0:7f00:1::',
        '2001:0:808:808:0:0:80ff:fffe',
        '2001:db8::1',
        '2002:7f00:1::',
        '2002:c0a8:101:ffff:ffff:ffff:ffff:ffff',
        '3fff::1',
        '5f00::1',
        'fc00::',
        'fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff',
        'fe80::1',
        'fe80::1%eth0',
        'febf:ffff::1',
        'fec0::1',
        'ff00::',
        'ff02::1',
        // No addresses.
        '',
        'localhost',
        '127.0.0',
        '0x7f000001',
        '8.8.8.8/8',
        '[2606:4700::1]',
        '8.8.8.8 ',
    ];
    for (const address of forbidden) {
        it(`forbids ${JSON.stringify(address)}`, () => assert(!rules.permits(address)));
    }

    it('lets allow win over deny, range by range', () => {
        const opened = new AddressRules({
            allow: ['10.1.0.0/16', 'fd00:1::/32', '::1'],
            deny: DENIED_BY_DEFAULT,
        });
        for (const address of ['10.1.2.3', '::ffff:10.1.2.3', '64:ff9b::10.1.2.3', 'fd00:1::5', '::1']) {
            assert(opened.permits(address), address);
        }
        for (const address of ['10.2.0.1', '::ffff:10.2.0.1', 'fd00:2::5', '127.0.0.1']) {
            assert(!opened.permits(address), address);
        }
    });

    it('judges the IPv4 address within an IPv6 address even where IPv6 is allowed', () => {
        const opened = new AddressRules({ allow: ['::/0'], deny: DENIED_BY_DEFAULT });
        assert(opened.permits('fe80::1'));
        assert(!opened.permits('64:ff9b::10.0.0.1'));
        assert(!opened.permits('::ffff:127.0.0.1'));
    });

    it('permits everything with an empty list, but not what is no address', () => {
        const open = new AddressRules({ allow: [], deny: [] });
        assert(open.permits('127.0.0.1') && open.permits('::1'));
        assert(!open.permits('localhost'));
    });
});

describe('the resolver of host names', () => {
    it('has so many names looked up at once and no more, whether they are found or not', async () => {
        let running = 0;
        let most = 0;
        const resolve = inTurns(async (name) => {
            most = Math.max(most, ++running);
            await nextTurn();
            running--;
            if (name === 'odd') {
                throw new Error('not found');
            }
            return [];
        }, 2);
        const names = Array.from({ length: 9 }, (_none, index) => (index % 2 === 0 ? 'even' : 'odd'));
        const outcomes = await Promise.allSettled(names.map((name) => resolve(name)));
        assert.equal(most, 2);
        assert.equal(outcomes.filter(({ status }) => status === 'fulfilled').length, 5);
        assert.deepEqual(await resolve('even'), []);
    });

    it('asks the operating system, and so /etc/hosts', async () => {
        const addresses = await systemResolver()('localhost');
        assert(addresses.some(({ address }) => address === '127.0.0.1' || address === '::1'));
    });
});

describe('outbound.allow, outbound.deny and what goes with them in the configuration', () => {
    const networks: [string, ReturnType<typeof parseNetwork>][] = [
        ['10.0.0.0/8', { address: '10.0.0.0', prefix: 8, family: 'ipv4' }],
        ['10.0.0.1', { address: '10.0.0.1', prefix: 32, family: 'ipv4' }],
        ['fd00::/8', { address: 'fd00::', prefix: 8, family: 'ipv6' }],
        ['::1', { address: '::1', prefix: 128, family: 'ipv6' }],
        ['0.0.0.0/0', { address: '0.0.0.0', prefix: 0, family: 'ipv4' }],
        ['10.0.0.0/33', undefined],
        ['10.0.0.0/', undefined],
        ['10.0.0', undefined],
        ['010.0.0.1', undefined],
        ['fd00::/129', undefined],
        ['::ffff:10.0.0.0/104', undefined],
        ['fe80::1%eth0', undefined],
        ['images.example.com', undefined],
        ['', undefined],
    ];
    for (const [text, network] of networks) {
        it(`reads ${JSON.stringify(text)} as ${network ? 'a range' : 'none'}`, () =>
            assert.deepEqual(parseNetwork(text), network));
    }

    const hosts: [string, ReturnType<typeof parseHost>][] = [
        ['images.example.com', { host: 'images.example.com' }],
        ['Images.Example.com.', { host: 'images.example.com' }],
        ['images.example.com:8080', { host: 'images.example.com', port: 8080 }],
        ['images.example.com:80', { host: 'images.example.com', port: 80 }],
        ['http://images.example.com', { host: 'images.example.com', port: 80 }],
        ['https://images.example.com/', { host: 'images.example.com', port: 443 }],
        ['https://images.example.com:8443', { host: 'images.example.com', port: 8443 }],
        ['10.0.0.1:8080', { host: '10.0.0.1', port: 8080 }],
        ['[fd00::1]:8080', { host: '[fd00::1]', port: 8080 }],
        ['http://[FD00:0::1]', { host: '[fd00::1]', port: 80 }],
        ['localhost', { host: 'localhost' }],
        ['bücher.example', { host: 'xn--bcher-kva.example' }],
        ['*.example.com', undefined],
        ['images.example.com:0', undefined],
        ['images.example.com:65536', undefined],
        ['images.example.com:http', undefined],
        ['https://images.example.com/base', undefined],
        ['https://images.example.com?channel=*', undefined],
        ['https://user:secret@images.example.com', undefined],
        ['ftp://images.example.com', undefined],
        ['10.0.0.0/8', undefined],
        ['two words', undefined],
        ['', undefined],
    ];
    for (const [text, host] of hosts) {
        it(`reads ${JSON.stringify(text)} as ${host ? 'a host' : 'none'}`, () =>
            assert.deepEqual(parseHost(text), host));
    }

    /** What the server refuses to start with. */
    function refusal(settings: Record<string, unknown>): string {
        try {
            configOf(settings);
        } catch (err) {
            assert(err instanceof ConfigError);
            return err.message;
        }
        return assert.fail('it was accepted');
    }

    it('starts with entries of every kind', () => {
        const allow = ['10.0.0.0/8', '::1', 'images.example.com', 'https://images.example.com:8443'];
        const config = configOf({ outbound: { allow, idleTimeout: '2s' } });
        assert.deepEqual(config.outbound.allow, allow);
        assert.deepEqual(config.outbound.deny, DENIED_BY_DEFAULT);
        assert.equal(config.outbound.idleTimeout, 2000);
        assert.equal(config.outbound.connectTimeout, 10_000);
    });

    const wrong: [Record<string, unknown>, RegExp][] = [
        [{ outbound: { allow: ['*.example.com'] } }, /config\.outbound\.allow holds "\*\.example\.com"/],
        [{ outbound: { allow: ['10.0.0.0/40'] } }, /config\.outbound\.allow holds "10\.0\.0\.0\/40"/],
        [
            { outbound: { allow: '10.0.0.0/8' } },
            /config\.outbound\.allow is "10\.0\.0\.0\/8"; it must be an array/,
        ],
        [{ outbound: { allow: ['https://u:secret@h'] } }, /holds "https:\/\/u:\*\*\*@h"/],
        [{ outbound: { deny: ['localhost'] } }, /config\.outbound\.deny holds "localhost"/],
        [{ outbound: { deny: ['::ffff:10.0.0.1'] } }, /IPv4 not written as IPv6/],
        [{ outbound: { deny: [''] } }, /config\.outbound\.deny\.0 is ""/],
        [{ outbound: { idleTimeout: 'soon' } }, /config\.outbound\.idleTimeout is "soon"; it must be a time/],
        [{ outbound: [] }, /config\.outbound is \[\]/],
        [{ httpProxy: 'proxy:3128' }, /config\.httpProxy is "proxy:3128"; it must be a URL of http or https/],
        [{ httpProxy: 'socks5://user:secret@proxy' }, /config\.httpProxy is "socks5:\/\/user:\*\*\*@proxy"/],
        [{ httpProxy: 7 }, /config\.httpProxy is 7/],
        [{ allowInsecure: 'yes' }, /config\.allowInsecure is "yes"; it must be true or false/],
        [
            { imgapiUrlFromDatacenter: { west: 'imgapi.west.example.com' } },
            /config\.imgapiUrlFromDatacenter\.west is "imgapi\.west\.example\.com"; it must be a URL/,
        ],
    ];
    for (const [settings, message] of wrong) {
        it(`does not start with ${JSON.stringify(settings)}`, () => {
            const reason = refusal(settings);
            assert(reason.startsWith('invalid IMGAPI config: '), reason);
            assert.match(reason, message);
        });
    }

    it('takes an empty proxy for none, and credentials in the URL of one', () => {
        configOf({ httpProxy: '' });
        configOf({ httpProxy: 'http://user:p%40ss@proxy.example.com:3128' });
    });

    it('is described for operators as it is', () => {
        const page = readFileSync(join(__dirname, '../../docs/security.md'), 'utf8');
        const missing = DENIED_BY_DEFAULT.filter((entry) => !page.includes(`\`${entry}\``));
        assert.deepEqual(missing, []);
    });
});
