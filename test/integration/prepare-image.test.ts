/** etc/prepare-image, run for real on guests that are not missed (vm-images.md §5). */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { GuestRoot, type ScriptRun } from '../support/guest-root';
import { skip } from '../support/skip';

const FOLDER = resolve(__dirname, '../../etc/prepare-image');
const LINUX = join(FOLDER, 'linux-prepare-image');
const BSD = join(FOLDER, 'bsd-prepare-image');
const SMARTOS = join(FOLDER, 'smartos-prepare-image');
const WINDOWS = join(FOLDER, 'windows-prepare-image');

const DASH = ['/usr/bin/dash'];
const BASH = ['/usr/bin/bash', '--posix'];

const RUNNING = 'mdata-put prepare-image:state running';
const SUCCESS = 'mdata-put prepare-image:state success';
const FAILED = 'mdata-put prepare-image:state error';
const HASH = '$6$salt$ab/CD.ef';

/** What imgadm and who looks at the console see, in order. */
const told = ({ calls }: ScriptRun): string[] =>
    calls.filter((call) => /^(mdata-put|shutdown|poweroff|halt)/.test(call));

/** The text that came with an error. */
function errorOf(run: ScriptRun): string {
    const before = 'mdata-put prepare-image:error ';
    return run.calls.find((call) => call.startsWith(before))?.slice(before.length) ?? '';
}

/** Those of the running test. */
const guests: GuestRoot[] = [];

/** A guest with metadata: without a value of its own, a key is not there. */
async function makeGuest(
    context: Mocha.Context,
    files: Readonly<Record<string, string>>,
    metadata: Readonly<Record<string, string>> = {},
): Promise<GuestRoot> {
    const guest = await GuestRoot.make(context, files);
    guests.push(guest);
    const cases = Object.entries(metadata).map(([key, value]) => `${key}) echo '${value}';;`);
    await guest.fake('mdata-put', '');
    await guest.fake('mdata-get', `case $1 in ${cases.join(' ')} *) echo "no $1" >&2; exit 1;; esac`);
    return guest;
}

const PASSWD = [
    'root:x:0:0:root:/root:/bin/bash',
    'daemon:x:1:1::/:/usr/sbin/nologin',
    'ann:x:1000:1000::/home/ann:/bin/bash',
    'bob:x:1001:1001::/srv/bob smith:/bin/bash',
    '',
].join('\n');

/** What a Linux guest has gathered in its life. */
const LINUX_FILES = {
    'etc/passwd': PASSWD,
    'etc/shadow': 'root:$6$old$secret:19000:0:99999:7:::\nann:$6$ann$hash:19000:0:99999:7:::\n',
    'etc/shadow-': 'root:$6$older$secret:19000:0:99999:7:::\n',
    'etc/fstab':
        'LABEL=root / ext4 defaults 0 1\n/dev/vdb /mnt auto defaults 0 2\n/dev/vdb1 /data xfs noatime 0 2\n' +
        '/dev/vdc /x auto comment=cloudconfig 0 2\n/dev/vdd /y auto x-systemd.requires=cloud-init.service 0 2\n' +
        '# /dev/vdb was here\n',
    'etc/hostname': 'guest-17\n',
    'etc/hosts': '127.0.0.1 localhost\n127.0.1.1 guest-17\n10.0.0.5 db\n',
    'etc/sysconfig/network': 'NETWORKING=yes\nHOSTNAME=guest-17\n',
    'etc/sysconfig/network-scripts/ifcfg-eth0': 'HWADDR=90:b8:d0:00:00:01\n',
    'etc/sysconfig/network-scripts/ifcfg-lo': 'DEVICE=lo\n',
    'etc/machine-id': '0123456789abcdef0123456789abcdef\n',
    'var/lib/dbus/machine-id': '0123456789abcdef0123456789abcdef\n',
    'var/lib/systemd/random-seed': 'seed',
    'etc/udev/rules.d/70-persistent-net.rules': 'ATTR{address}=="90:b8:d0:00:00:01"\n',
    'etc/udev/rules.d/60-disk.rules': 'KERNEL=="vda"\n',
    'etc/ssh/ssh_host_ed25519_key': 'private',
    'etc/ssh/ssh_host_ed25519_key.pub': 'public',
    'etc/ssh/sshd_config': 'UsePAM yes\n',
    'root/.bash_history': 'mysql -psecret\n',
    'root/.bashrc': 'alias l=ls\n',
    'root/.ssh/authorized_keys': 'ssh-ed25519 AAAA me\n',
    'root/.ssh/config': 'Host *\n',
    'home/ann/.zsh_history': 'x\n',
    'home/ann/.ssh/id_rsa': 'private',
    'home/ann/.ssh/known_hosts': 'a\n',
    'home/ann/notes': 'keep me\n',
    'srv/bob smith/.bash_history': 'x\n',
    'srv/bob smith/.ssh/work.key': 'private',
    'var/log/syslog': 'boot\n',
    'var/log/nginx/access.log': 'GET /\n',
    'var/log/journal/0123456789abcdef0123456789abcdef/system.journal': 'LPKSHHRH',
    'var/lib/dhcp/dhclient.eth0.leases': 'lease\n',
    'var/lib/dhclient/dhclient-eth0.lease': 'lease\n',
    'var/lib/NetworkManager/dhclient-eth0.lease': 'lease\n',
    'var/lib/cloud/instance/user-data.txt': 'secret\n',
    'var/lib/cloud/data/instance-id': 'i-1\n',
    'var/lib/cloud/seed/nocloud/meta-data': 'x\n',
    'etc/netplan/50-cloud-init.yaml': 'macaddress: 90:b8:d0:00:00:01\n',
    'lib/smartdc/.firstboot-complete-do-not-delete': '',
    'lib/smartdc/firstboot': '#!/bin/sh\n',
    'var/svc/provision_success': '',
    'var/svc/mdata-user-script': '#!/bin/sh\n',
    'var/db/user-script': '#!/bin/sh\n',
    'var/cache/apt/archives/curl_8_amd64.deb': 'deb',
    'var/cache/apt/pkgcache.bin': 'cache',
    'var/cache/dnf/base/packages/curl.rpm': 'rpm',
    'srv/www/index.html': 'keep me\n',
};

/** Files that have to stay, empty. */
const EMPTIED = ['var/log/syslog', 'var/log/nginx/access.log', 'etc/machine-id'];

/** Files that nothing may touch. */
const KEPT = [
    'etc/passwd',
    'etc/sysconfig/network-scripts/ifcfg-lo',
    'etc/udev/rules.d/60-disk.rules',
    'etc/ssh/sshd_config',
    'root/.bashrc',
    'root/.ssh/config',
    'home/ann/notes',
    'var/lib/cloud/seed/nocloud/meta-data',
    'lib/smartdc/firstboot',
    'srv/www/index.html',
] as const;

/** Files that are written again, and what is in them then. */
const EDITED: Record<string, string> = {
    'etc/shadow': 'root:*:19000:0:99999:7:::\nann:$6$ann$hash:19000:0:99999:7:::\n',
    'etc/fstab': 'LABEL=root / ext4 defaults 0 1\n# /dev/vdb was here\n',
    'etc/hostname': 'localhost\n',
    'etc/hosts': '127.0.0.1 localhost\n10.0.0.5 db\n',
    'etc/sysconfig/network': 'NETWORKING=yes\n',
};

const CACHES = {
    apt: ['var/cache/apt/archives/curl_8_amd64.deb', 'var/cache/apt/pkgcache.bin'],
    dnf: ['var/cache/dnf/base/packages/curl.rpm'],
};

const DISTRIBUTIONS = [
    {
        name: 'centos',
        release: { 'etc/os-release': 'NAME="CentOS"\nID="centos"\n' },
        shell: BASH,
        caches: ['dnf'],
    },
    {
        name: 'fedora',
        release: { 'etc/os-release': 'ID=fedora\nVARIANT_ID=cloud\n' },
        shell: BASH,
        caches: ['dnf'],
    },
    { name: 'debian', release: { 'etc/os-release': 'ID=debian\n' }, shell: DASH, caches: ['apt'] },
    { name: 'ubuntu', release: { 'etc/os-release': "ID='ubuntu'\n" }, shell: DASH, caches: ['apt'] },
    {
        name: 'one it does not know',
        release: { 'etc/os-release': 'ID=void\n' },
        shell: DASH,
        caches: ['apt', 'dnf'],
    },
    { name: 'an old redhat', release: { 'etc/redhat-release': 'CentOS 6\n' }, shell: BASH, caches: ['dnf'] },
    { name: 'an old debian', release: { 'etc/debian_version': '6.0\n' }, shell: BASH, caches: ['apt'] },
] as const;

describe('Prepare-image scripts', function () {
    this.timeout(60_000);

    afterEach(() => Promise.all(guests.splice(0).map((guest) => guest.remove())));

    describe('linux', () => {
        for (const { name, release, shell, caches } of DISTRIBUTIONS) {
            it(`takes away what a copy must not have: ${name}`, async function () {
                const guest = await makeGuest(this, { ...LINUX_FILES, ...release });
                await guest.fake('dnf', '');
                const run = await guest.run(shell, LINUX);
                assert.deepEqual(told(run), [RUNNING, SUCCESS, 'shutdown -h now'], run.output);
                assert.equal(run.code, 0);

                const cleaned = caches.flatMap((cache) => CACHES[cache]);
                const otherCaches = Object.values(CACHES)
                    .flat()
                    .filter((path) => !cleaned.includes(path));
                const kept = [...KEPT, ...otherCaches] as (keyof typeof LINUX_FILES)[];
                const expected = {
                    ...release,
                    ...EDITED,
                    ...Object.fromEntries(EMPTIED.map((path) => [path, ''])),
                    ...Object.fromEntries(kept.map((path) => [path, LINUX_FILES[path]])),
                };
                const found = guest.files();
                // apt makes its own lock files, and where apt is not, there are none.
                delete found['var/cache/apt/archives/lock'];
                delete found['var/lib/apt/lists/lock'];
                assert.deepEqual(found, expected);
                assert.equal(
                    run.calls.includes('dnf --quiet clean all'),
                    caches.some((cache) => cache === 'dnf'),
                );

                const again = await guest.run(shell, LINUX);
                assert.deepEqual(told(again), [RUNNING, SUCCESS, 'shutdown -h now'], again.output);
                const after = guest.files();
                delete after['var/cache/apt/archives/lock'];
                delete after['var/lib/apt/lists/lock'];
                assert.deepEqual(after, expected);
            });
        }

        it('does without tools and files that a guest lacks, in the shell of busybox', async function () {
            const guest = await makeGuest(this, {
                'etc/os-release': 'ID=alpine\n',
                'etc/passwd': PASSWD,
                'etc/shadow': 'root::19000::::::\n',
            });
            const run = await guest.run(['/usr/bin/busybox', 'sh'], LINUX);
            assert.deepEqual(told(run), [RUNNING, SUCCESS, 'shutdown -h now'], run.output);
            assert.equal(guest.read('etc/shadow'), 'root:*:19000::::::\n');
        });

        it('sets the password that the metadata wants, and tells it nobody', async function () {
            const guest = await makeGuest(
                this,
                { ...LINUX_FILES, 'etc/os-release': 'ID=debian\n' },
                { 'prepare-image:root-password-hash': HASH },
            );
            await guest.fake('sync', 'exit 1');
            const run = await guest.run(DASH, LINUX);
            assert.equal(guest.read('etc/shadow').split('\n')[0], `root:${HASH}:19000:0:99999:7:::`);
            assert.deepEqual(told(run).slice(-2), [FAILED, 'shutdown -h now']);
            assert.notEqual(errorOf(run), '');
            assert.ok(!run.calls.join('\n').includes('salt') && !run.output.includes('salt'));
        });

        it('refuses what cannot be the hash of a password', async function () {
            const guest = await makeGuest(
                this,
                { ...LINUX_FILES, 'etc/os-release': 'ID=debian\n' },
                { 'prepare-image:root-password-hash': 'x:0:0' },
            );
            const run = await guest.run(DASH, LINUX);
            assert.match(errorOf(run), /root-password-hash is not/);
            assert.equal(guest.read('etc/shadow'), LINUX_FILES['etc/shadow']);
        });

        it('gives Ubuntu a serial console, if the metadata wants it', async function () {
            const file = 'etc/default/grub.d/99-serial-console.cfg';
            for (const [id, wanted, isThere] of [
                ['ubuntu', 'true', true],
                ['ubuntu', 'false', false],
                ['debian', 'true', false],
            ] as const) {
                const guest = await makeGuest(
                    this,
                    { ...LINUX_FILES, 'etc/os-release': `ID=${id}\n` },
                    { 'prepare-image:fix-ubuntu-console': wanted },
                );
                await guest.fake('update-grub', '');
                const run = await guest.run(DASH, LINUX);
                assert.ok(run.calls.includes(SUCCESS), run.output);
                assert.equal(guest.has(file), isThere);
                assert.equal(run.calls.includes('update-grub'), isThere);
                if (isThere) {
                    assert.match(guest.read(file), /console=ttyS0/);
                }
            }
        });

        it('tells what failed, with the end of the trace, and powers off', async function () {
            const guest = await makeGuest(this, { ...LINUX_FILES, 'etc/os-release': 'ID=fedora\n' });
            await guest.fake('dnf', 'seq 1 100 >&2; echo the cache is locked >&2; exit 3');
            const run = await guest.run(DASH, LINUX);
            assert.deepEqual(
                told(run).map((call) => call.split('\n')[0]?.replace(/^(mdata-put \S+error).*/, '$1')),
                [RUNNING, 'mdata-put prepare-image:error', FAILED, 'shutdown -h now'],
            );
            const lines = errorOf(run).split('\n');
            assert.equal(lines.at(-1), 'the cache is locked');
            assert.equal(lines.length, 50);
            assert.equal(run.code, 3);
            assert.ok(!guest.has('var/run/prepare-image'));
        });

        it('fails where nothing tells the distribution', async function () {
            const guest = await makeGuest(this, LINUX_FILES);
            const run = await guest.run(DASH, LINUX);
            assert.deepEqual(told(run).slice(-2), [FAILED, 'shutdown -h now']);
            assert.match(errorOf(run), /no Linux distribution/);
            assert.equal(guest.read('etc/shadow'), LINUX_FILES['etc/shadow']);
        });

        it('changes nothing if nobody can be told, and powers off', async function () {
            const guest = await makeGuest(this, { ...LINUX_FILES, 'etc/os-release': 'ID=debian\n' });
            await guest.fake('mdata-put', 'exit 2');
            await guest.fake('sleep', '');
            const before = guest.files();
            const run = await guest.run(DASH, LINUX);
            assert.equal(run.calls.filter((call) => call === RUNNING).length, 3);
            assert.equal(run.calls.at(-1), 'shutdown -h now');
            assert.notEqual(run.code, 0);
            const after = guest.files();
            delete after['var/svc/mdata-operator-script'];
            assert.deepEqual(after, before);
        });

        it('tries other ways to power off', async function () {
            const guest = await makeGuest(this, { ...LINUX_FILES, 'etc/os-release': 'ID=debian\n' });
            await guest.fake('shutdown', 'exit 1');
            await guest.fake('poweroff', '[ "$1" = -f ]');
            const run = await guest.run(DASH, LINUX);
            assert.deepEqual(told(run).slice(2), ['shutdown -h now', 'poweroff', 'poweroff -f']);
        });
    });

    describe('bsd', () => {
        const files = {
            'etc/master.passwd': 'root:$2b$old:0:0::0:0:Charlie:/root:/bin/sh\ntoor:*:0:0::0:0::/root:\n',
            'etc/rc.conf': 'hostname="guest-17"\nifconfig_vtnet0="DHCP"\nsshd_enable="YES"\n',
            'etc/fstab': '/dev/vtbd0p2 / ufs rw 1 1\n/dev/vtbd1p1 /x ufs rw 2 2\ntank /data zfs rw 0 0\n',
            'etc/ssh/ssh_host_rsa_key': 'private',
            'etc/hostid': '1234\n',
            'etc/hostname.vio0': 'dhcp\n',
            'etc/myname': 'guest-17\n',
            entropy: 'x',
            'var/db/entropy/saved-entropy.1': 'x',
            'var/db/dhclient.leases.vtnet0': 'lease\n',
            'var/db/host.random': 'x',
            'var/cache/pkg/curl.txz': 'x',
            'var/log/messages': 'boot\n',
            'var/mail/root': 'From cron\n',
            'root/.history': 'x\n',
            'root/.profile': 'x\n',
            'tmp/.hidden/file': 'x',
            'var/tmp/file': 'x',
            'lib/smartdc/.firstboot-complete-do-not-delete': '',
            'srv/data': 'keep me',
        };

        for (const system of ['FreeBSD', 'OpenBSD']) {
            it(`takes away what a copy must not have: ${system}`, async function () {
                const guest = await makeGuest(this, files, { 'prepare-image:root-password-hash': HASH });
                await guest.fake('uname', `echo ${system}`);
                await guest.fake('pwd_mkdb', '');
                for (let round = 0; round < 2; round += 1) {
                    const run = await guest.run(DASH, BSD);
                    assert.deepEqual(told(run), [RUNNING, SUCCESS, 'shutdown -p now'], run.output);
                    assert.ok(run.calls.includes('pwd_mkdb -p /etc/master.passwd'));
                    for (const path of ['var/log/messages', 'var/mail/root']) {
                        assert.equal(guest.read(path), '', path);
                    }
                    const gone = [
                        'etc/ssh/ssh_host_rsa_key',
                        'var/db/dhclient.leases.vtnet0',
                        'var/cache/pkg/curl.txz',
                        'root/.history',
                        'tmp/.hidden',
                        'var/tmp/file',
                        'lib/smartdc/.firstboot-complete-do-not-delete',
                        ...(system === 'FreeBSD'
                            ? ['etc/hostid', 'entropy', 'var/db/entropy/saved-entropy.1']
                            : ['etc/hostname.vio0', 'var/db/host.random']),
                    ];
                    assert.deepEqual(
                        gone.filter((path) => guest.has(path)),
                        [],
                    );
                    assert.equal(guest.read('srv/data'), 'keep me');
                    assert.equal(guest.read('root/.profile'), 'x\n');
                    assert.ok(guest.has('tmp') && guest.has('var/tmp'));
                    assert.equal(
                        guest.read('etc/master.passwd'),
                        `root:${HASH}:0:0::0:0:Charlie:/root:/bin/sh\ntoor:*:0:0::0:0::/root:\n`,
                    );
                    if (system === 'FreeBSD') {
                        assert.equal(guest.read('etc/rc.conf'), 'sshd_enable="YES"\n');
                        assert.equal(guest.read('etc/fstab'), '/dev/vtbd0p2 / ufs rw 1 1\n');
                    } else {
                        assert.equal(guest.read('etc/myname'), 'localhost\n');
                    }
                }
            });
        }

        it('locks root without a hash, and tells what failed without the password', async function () {
            const guest = await makeGuest(this, files);
            await guest.fake('uname', 'echo FreeBSD');
            await guest.fake('pwd_mkdb', 'echo no space left >&2; exit 1');
            const run = await guest.run(DASH, BSD);
            assert.match(guest.read('etc/master.passwd'), /^root:\*:0:0/);
            assert.match(errorOf(run), /no space left$/);
            assert.deepEqual(told(run).slice(-2), [FAILED, 'shutdown -p now']);
        });

        it('refuses other systems', async function () {
            const guest = await makeGuest(this, files);
            await guest.fake('uname', 'echo NetBSD');
            const run = await guest.run(DASH, BSD);
            assert.match(errorOf(run), /this is NetBSD/);
            assert.deepEqual(told(run).slice(-2), [FAILED, 'shutdown -p now']);
            assert.equal(guest.read('etc/master.passwd'), files['etc/master.passwd']);
        });
    });

    describe('smartos', () => {
        const SOCKET = 'rm -f /.zonecontrol/metadata.sock 2>/dev/null || true';
        /** The steps of the zone's own script that matter here; it is a script of bash. */
        const own = `#!/usr/bin/bash
[[ $yn_start == y ]] || exit 1
echo "answers $yn_start $yn_nfs $yn_subips $yn_halt" >/answers
  ${SOCKET}
rm -f /etc/ssh/ssh_host_rsa_key`;

        async function makeZone(context: Mocha.Context, script: string | undefined): Promise<GuestRoot> {
            const zone = await makeGuest(context, {
                '.zonecontrol/metadata.sock': '',
                'etc/ssh/ssh_host_rsa_key': 'private',
                'var/svc/provision_success': '',
                ...(script === undefined ? {} : { 'opt/local/bin/sm-prepare-image': script }),
            });
            await zone.fake('svcs', '');
            await zone.fake('svccfg', '');
            await zone.fake('svcadm', '');
            if (script !== undefined) {
                spawnSync('chmod', ['755', join(zone.path, 'opt/local/bin/sm-prepare-image')]);
            }
            return zone;
        }

        it('runs the script of the zone, which must not cut the way to the host', async function () {
            const guest = await makeZone(this, own);
            for (let round = 0; round < 2; round += 1) {
                const run = await guest.run(DASH, SMARTOS);
                assert.deepEqual(told(run), [RUNNING, SUCCESS, 'shutdown -y -g0 -i5'], run.output);
                assert.equal(guest.read('answers'), 'answers y y y n\n');
                assert.ok(guest.has('.zonecontrol/metadata.sock'));
                assert.ok(!guest.has('etc/ssh/ssh_host_rsa_key') && !guest.has('var/svc/provision_success'));
                assert.ok(guest.read('opt/local/bin/sm-prepare-image').includes(SOCKET));
                assert.deepEqual(
                    run.calls.filter((call) => /^(svccfg|svcadm)/.test(call)),
                    [
                        'svccfg -s zoneinit setprop application/done = false',
                        'svcadm refresh zoneinit',
                        'svcadm disable svc:/smartdc/mdata:fetch',
                        'svcadm disable svc:/smartdc/mdata:execute',
                    ],
                );
            }
        });

        it('does without services that the zone lacks, and halts if it cannot shut down', async function () {
            const guest = await makeZone(this, own);
            await guest.fake('svcs', 'exit 1');
            await guest.fake('shutdown', 'exit 1');
            const run = await guest.run(DASH, SMARTOS);
            assert.deepEqual(told(run).slice(1), [SUCCESS, 'shutdown -y -g0 -i5', 'halt']);
            assert.ok(!run.calls.some((call) => /^(svccfg|svcadm)/.test(call)));
        });

        it('tells what failed', async function () {
            for (const [script, text] of [
                ['#!/usr/bin/bash\necho no disk >&2\nexit 4', /no disk$/],
                [undefined, /no sm-prepare-image/],
            ] as const) {
                const guest = await makeZone(this, script);
                const run = await guest.run(DASH, SMARTOS);
                assert.match(errorOf(run), text);
                assert.deepEqual(told(run).slice(-2), [FAILED, 'shutdown -y -g0 -i5']);
            }
        });
    });

    describe('as files', () => {
        it('are clean by shellcheck', function () {
            const { status, stdout, error } = spawnSync('shellcheck', [LINUX, BSD, SMARTOS], {
                encoding: 'utf8',
            });
            if (error) {
                skip(this, 'shellcheck is not installed; on Debian: apt-get install shellcheck');
            }
            assert.equal(status, 0, stdout);
        });

        it('can be read by the shells that guests have', function () {
            for (const shell of [DASH, BASH, ['/usr/bin/busybox', 'sh']]) {
                for (const script of [LINUX, BSD, SMARTOS]) {
                    const [program = '', ...options] = shell;
                    const { status, stderr, error } = spawnSync(program, [...options, '-n', script], {
                        encoding: 'utf8',
                    });
                    if (error) {
                        skip(this, `${program} is missing; on Debian: apt-get install dash bash busybox`);
                    }
                    assert.equal(status, 0, stderr);
                }
            }
        });

        it('are small enough for the metadata of a Windows guest, in characters that any code page has', () => {
            const script = readFileSync(WINDOWS);
            assert.ok(script.length < 3000, `${script.length} bytes`);
            assert.ok(script.every((byte) => byte < 0x80));
        });
    });
});
