/** The status page of the admin listener (daemon.md §4), in a browser. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { chromium, type Browser, type Page } from 'playwright-core';
import { insecurities } from '../../lib/config/insecurities';
import { effectiveConfig } from '../../lib/config/validate';
import { duration, readable } from '../../lib/http/admin/status-page';
import { at } from '../support/api';
import { withServer } from '../support/signed';
import { skip } from '../support/skip';
import { adminUrl } from '../support/watch';

const CHROMIUM = '/usr/bin/chromium';
const admin = { port: 0 };

describe('the status page', function () {
    this.timeout(60_000);
    let browser: Browser;

    before(async function () {
        if (!existsSync(CHROMIUM)) {
            skip(this, `${CHROMIUM} is not installed; on Debian: apt-get install chromium`);
        }
        browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox'] });
    });
    after(() => (browser as Browser | undefined)?.close());

    /** Opens the page as a browser of this kind shows it; fails for whatever the page tries to load or run. */
    async function opened(
        url: string,
        look: (page: Page) => Promise<void>,
        { width = 1280, scheme = 'light' }: { width?: number; scheme?: 'light' | 'dark' } = {},
    ): Promise<void> {
        const page = await browser.newPage({ viewport: { width, height: 900 }, colorScheme: scheme });
        const requested: string[] = [];
        const complaints: string[] = [];
        page.on('request', (request) => requested.push(request.url()));
        page.on('console', (message) => complaints.push(message.text()));
        page.on('dialog', (dialog) => void dialog.dismiss().then(() => complaints.push('a dialog')));
        await page.goto(url);
        await look(page);
        assert.deepEqual(
            requested.filter((one) => !one.endsWith('/favicon.ico')),
            [`${url}/`],
        );
        assert.deepEqual(
            complaints.filter((text) => !text.includes('404')),
            [],
        );
        await page.close();
    }

    it('shows how the server is, wide and narrow, by day and by night', async () => {
        await withServer({ config: { admin, databaseType: 'local' } }, async (client, server) => {
            const url = await adminUrl(server);
            await opened(url, async (page) => {
                const text = await page.innerText('body');
                for (const word of ['There are none yet.', 'None yet.', 'storage:local', 'version']) {
                    assert.ok(text.includes(word), word);
                }
                assert.equal(await page.locator('.warnings').count(), 0);
            });
            await client.createActive();
            const { uuid } = await client.create();
            await client.get(at(uuid, '/nothing'), { 'x-request-id': 'last' });
            await fetch(`${server.url}/images?name=<script>alert(1)</script><img/src=x/onerror=alert(2)>`);
            await server.logged(({ audit, msg, req }) => {
                const path = (req as { url?: string } | undefined)?.url;
                return audit === true && msg === 'handled: 200' && path?.includes('alert') === true;
            });
            for (const scheme of ['light', 'dark'] as const) {
                for (const width of [1280, 360]) {
                    await opened(
                        url,
                        async (page) => {
                            const text = await page.innerText('body');
                            assert.match(text, /alert\(1\)/, 'as text');
                            assert.match(text, /\/nothing/);
                            const [content, window] = await page.evaluate<number[]>(
                                '[document.documentElement.scrollWidth, innerWidth]',
                            );
                            assert.ok(content! <= window!, `${content} of ${window} pixels`);
                        },
                        { width, scheme },
                    );
                }
            }
            // Numbers are counted again after a while that depends on how long that takes.
            for (let n = 0; ; n++) {
                const text = await (await fetch(url)).text();
                if (/<td>active<\/td>\s*<td class="number">1</.test(text)) {
                    break;
                }
                assert.ok(n < 200, text);
                await new Promise((resolve) => setTimeout(resolve, 100));
            }
        });
    });

    it('lets nothing but its own style work on it', async () => {
        await withServer({ config: { admin } }, async (_client, server) => {
            const answer = await fetch(await adminUrl(server));
            const policy = answer.headers.get('content-security-policy')!;
            assert.match(policy, /^default-src 'none'; style-src 'sha256-[^']+';/);
            assert.ok(!policy.includes('unsafe'));
            assert.equal(answer.headers.get('x-content-type-options'), 'nosniff');
        });
    });
});

describe('what makes a configuration insecure', () => {
    const DEFAULTS = {
        port: 8080,
        address: '127.0.0.1',
        maxSockets: 100,
        logLevel: 'info',
        mode: 'public',
        authType: 'signature',
        databaseType: 'local',
        storageTypes: ['local'],
        placeholderImageLifespanDays: 7,
        allowLocalCreateImageFromVm: false,
        minImageCreationPlatform: ['7.0', '20130917T001310Z'],
    };
    const found = (settings: object): number =>
        insecurities(effectiveConfig({ ...DEFAULTS, ...settings })).length;

    it('is named, and only that', () => {
        assert.equal(found({}), 0);
        assert.equal(found({ admin: {} }), 0);
        assert.equal(found({ authType: 'none' }), 0, 'on a loopback address');
        assert.equal(found({ address: '0.0.0.0' }), 1, 'not encrypted');
        assert.equal(found({ address: '0.0.0.0', authType: 'none', permitInsecure: true }), 2);
        assert.equal(found({ admin: { address: '0.0.0.0' } }), 1);
        assert.equal(
            found({ listen: { schemes: ['https'] }, address: '0.0.0.0' }),
            1,
            'transient certificate',
        );
        assert.equal(
            found({ listen: { schemes: ['https'] }, address: '0.0.0.0', tls: { certificate: '/x.pem' } }),
            0,
        );
        assert.equal(found({ allowInsecure: true }), 1);
        const datacenter = {
            mode: 'dc',
            datacenterName: 'x',
            ufds: { url: 'ldap://u', bindDN: 'cn=root', bindPassword: 'p' },
        };
        assert.equal(found({ ...datacenter, address: '0.0.0.0', authType: 'none' }), 0);
    });
});

describe('numbers for people', () => {
    it('are short', () => {
        assert.deepEqual([0, 1, 1023, 1024, 1536, 1024 ** 3 * 250, 1024 ** 6 * 3].map(readable), [
            '0 bytes',
            '1 bytes',
            '1023 bytes',
            '1.0 KiB',
            '1.5 KiB',
            '250 GiB',
            '3072 PiB',
        ]);
        assert.deepEqual([0.2, 59, 61, 3600, 90_061].map(duration), [
            '0 s',
            '59 s',
            '1 min 1 s',
            '1 h 0 min',
            '1 d 1 h',
        ]);
    });
});
