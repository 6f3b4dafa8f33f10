/**
 * Faults by chance between the server and its object store, while clients work with it, some of them go away half-way,
 * and the server is killed: no acknowledged image is lost or damaged, no answer is other than the documented ones, and
 * nothing is left that no image refers to.
 *
 * FAULTS says how many for each store (`npm run faults`: 1,500), FAULTS_SEED which; a failure names the seed. How
 * requests overlap is not repeated with it.
 */
import assert from 'node:assert/strict';
import { Backends } from '../support/backends';
import { campaign, type CampaignResult } from '../support/storage-campaign';

const FAULTS = Number(process.env.FAULTS ?? 40);
const SEED = Number(process.env.FAULTS_SEED ?? 20_250_521);
const FULL = process.env.FAULTS !== undefined;

function summary({ faults, actions, images }: CampaignResult): string {
    const met = [...faults].map(([kind, count]) => `${kind} × ${count}`).join(', ');
    const done = [...actions].map(([name, counts]) => `${name} ${counts.join('/')}`).join(', ');
    return (
        `faults: ${met}\n        actions (done/refused/unanswered): ${done}\n` +
        `        at the end: ${images} images`
    );
}

/** Chance that reaches nothing proves nothing. */
function assertEventful({ actions }: CampaignResult): void {
    for (const action of ['upload', 'download', 'change-stor']) {
        assert.ok((actions.get(action)?.[0] ?? 0) > 0, `nothing came of any ${action}`);
    }
    assert.ok(
        [...actions.values()].some(([, refused]) => refused > 0),
        'nothing was ever refused',
    );
}

describe('faults by chance', function () {
    this.timeout(120_000 + 500 * FAULTS);

    let backends: Backends | undefined;
    afterEach(async () => {
        await backends?.stop();
        backends = undefined;
    });

    for (const store of ['manta', 's3'] as const) {
        it(`${FAULTS} of them before ${store} lose, damage and leave nothing`, async function () {
            const timeout = this.timeout();
            backends = await Backends.start(store === 's3' ? this : undefined);
            this.timeout(timeout);
            const kills = FULL ? 6 : 2;
            try {
                const result = await campaign({ backends, store, seed: SEED, faults: FAULTS, kills });
                assertEventful(result);
                if (FULL) {
                    console.log(`        ${summary(result)}`);
                }
            } catch (err) {
                throw new Error(`seed ${SEED}: ${(err as Error).message}`, { cause: err });
            }
        });
    }
});
