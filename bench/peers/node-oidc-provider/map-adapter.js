// What the provider keeps, in plain Maps that forget nothing. The provider's own memory adapter is an LRU of 1,000 entries in all: with
// more grants than that it would drop living ones, and most refreshes would be refused.
export class MapAdapter {
  #stored = new Map();

  async upsert(id, payload) {
    this.#stored.set(id, payload);
  }

  async find(id) {
    return this.#stored.get(id);
  }

  async consume(id) {
    this.#stored.get(id).consumed = Math.floor(Date.now() / 1000);
  }

  async destroy(id) {
    this.#stored.delete(id);
  }

  // Only a replayed refresh token leads here, which no chain of refreshes does. A search costs a replay more and each refresh less than an
  // index by grant would.
  async revokeByGrantId(grantId) {
    for (const [id, payload] of this.#stored) {
      if (payload.grantId === grantId) this.#stored.delete(id);
    }
  }
}
