//! How big each profile is: in full, and small, to see that all of it works.

/// All sizes.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Sizes {
    /// Players and games of the steady load and of the search for its knee, each game with as many.
    pub steady: (u32, u32),
    /// How long it lasts, s.
    pub steady_s: f64,
    /// The two rates, answers/s over the whole time.
    pub steady_rates: (f64, f64),
    /// Where the search begins, answers/s.
    pub knee_from: f64,
    /// Where it is given up, answers/s.
    pub knee_to: f64,
    /// How long each step lasts, s.
    pub knee_step_s: f64,
    /// Players of the one game that answers at once.
    pub burst_players: u32,
    /// Sockets and edges of each part of the crowd.
    pub crowd: [(u32, u32); 3],
    /// How long the crowd does nothing, ms.
    pub crowd_idle_ms: u64,
    /// Games at once.
    pub many: [u32; 3],
    /// Players of the long load, and how long it lasts, s.
    pub messages: (u32, f64),
    /// Answers/s of it. Each is six messages: the question, the answer, its receipt, the close, the
    /// board, the outcome.
    pub messages_rate: f64,
    /// Players that answer while scoring is away, and their edges.
    pub catch_up: (u32, u32),
    /// How long before, s; how long scoring is away, s; how long behind, s.
    pub catch_up_s: (f64, f64, f64),
    /// Players and games while scoring workers come.
    pub groups: (u32, u32),
    /// How long with one, two and four workers each, s.
    pub groups_s: f64,
    /// Answers/s of it.
    pub groups_rate: f64,
    /// For how long a steady load is warmed up with, s. A broker that was just started compiles for most of a minute
    /// under load, on half of a core at first.
    pub warm_up_s: f64,
    /// How long a floor's open loop lasts, s.
    pub floor_s: f64,
    /// Sockets that echo.
    pub echo_sockets: u32,
}

/// What is asked for.
pub const FULL: Sizes = Sizes {
    steady: (10_000, 10),
    steady_s: 60.0,
    steady_rates: (10_000.0, 1_000.0),
    knee_from: 1_000.0,
    knee_to: 60_000.0,
    knee_step_s: 20.0,
    burst_players: 20_000,
    crowd: [(5_000, 1), (10_000, 1), (100_000, 6)],
    crowd_idle_ms: 10_000,
    many: [300, 1_000, 3_000],
    messages: (6_000, 300.0),
    messages_rate: 3_000.0,
    catch_up: (100_000, 6),
    catch_up_s: (20.0, 60.0, 20.0),
    groups: (2_400, 48),
    groups_s: 20.0,
    groups_rate: 1_000.0,
    warm_up_s: 45.0,
    floor_s: 10.0,
    echo_sockets: 1_000,
};

/// About two minutes a few profiles, even without optimisation: figures that say nothing.
pub const QUICK: Sizes = Sizes {
    steady: (500, 5),
    steady_s: 6.0,
    steady_rates: (500.0, 100.0),
    knee_from: 300.0,
    knee_to: 400.0,
    knee_step_s: 4.0,
    burst_players: 500,
    crowd: [(200, 1), (400, 1), (600, 2)],
    crowd_idle_ms: 1_000,
    many: [5, 10, 20],
    messages: (300, 15.0),
    messages_rate: 150.0,
    catch_up: (1_000, 2),
    catch_up_s: (9.0, 10.0, 11.0),
    groups: (240, 12),
    groups_s: 8.0,
    groups_rate: 200.0,
    warm_up_s: 4.0,
    floor_s: 3.0,
    echo_sockets: 100,
};

/// By how much the rate is raised from step to step of the search for the knee.
pub const KNEE_STEP: f64 = 1.12;
/// Players of each of many games.
pub const MANY_PLAYERS: u32 = 5;
/// The most games that one process of the load client takes.
pub const LOAD_GAMES_MAX: u32 = 1_000;
/// Players of one lane.
pub const LANE_PLAYERS_MAX: u32 = 2_000;
/// How long records wait for company in the product's batches, ms.
pub const LINGER_MS: u32 = 1;
