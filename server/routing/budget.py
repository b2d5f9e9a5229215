"""A budget that keeps something extra to a share of what is done anyway."""


class Budget:
    """Allows a share (0 to 1) of the requests, beyond a few at first. Retries and hedges draw on one each.

    A share of what succeeds cannot multiply an outage: where every request fails, so many retries at most
    are added (https://sre.google/sre-book/handling-overload/).
    """

    def __init__(self, share: float, burst: float = 10.0) -> None:
        self._share = share
        self._burst = burst if share else 0.0
        self._left = self._burst

    def earn(self) -> None:
        """One more request is made."""
        if self._left < self._burst:
            self._left = min(self._left + self._share, self._burst)

    def spend(self) -> bool:
        """Takes one, if there is one."""
        if self._left < 1:
            return False
        self._left -= 1
        return True
