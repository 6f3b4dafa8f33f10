/**
 * Two servers that import chains of images from a third, all of them killed at points of chance: every import ends
 * complete, and nothing else is left of it.
 *
 * KILLS says how often the importing servers are killed (`npm run kills`: 50), KILLS_SEED when and which; a failure names
 * the seed. How the work of the processes overlaps is not repeated with it.
 */
import { importCampaign } from '../support/import-campaign';

const KILLS = Number(process.env.KILLS ?? 3);
const SEED = Number(process.env.KILLS_SEED ?? 20_261_121);
const FULL = process.env.KILLS !== undefined;

describe('imports whose servers are killed by chance', function () {
    this.timeout(180_000 + 30_000 * KILLS);

    it(`${KILLS} times, end complete`, async () => {
        const began = Date.now();
        try {
            const { kills, sourceKills, chains, jobs } = await importCampaign({ seed: SEED, kills: KILLS });
            if (FULL) {
                const ended = [...jobs].map(([execution, count]) => `${count} ${execution}`).join(', ');
                console.log(
                    `        seed ${SEED}: ${chains} chains, ${kills.one} kills of one server, ${kills.both} of both, ` +
                        `${sourceKills} of the source; jobs: ${ended}; ${Math.round((Date.now() - began) / 1000)} s`,
                );
            }
        } catch (err) {
            throw new Error(`seed ${SEED}: ${(err as Error).message}`, { cause: err });
        }
    });
});
